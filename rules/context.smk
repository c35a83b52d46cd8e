rule context:
    """Join what was found in each post's image into words."""
    input:
        unpack(context_tables),
        posts="results/{dataset}/posts.parquet",
        texts=context_texts,
    output:
        "results/{dataset}/contexts/{context}.parquet",
    log:
        "results/logs/{dataset}/context/{context}.log",
    benchmark:
        "results/benchmarks/{dataset}/context/{context}.tsv"
    conda:
        "../envs/ita.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=settings("context"),
        tables=context_options,
        cache="results/{dataset}/downloads",
    shell:
        "python -m ita context --settings {params.settings:q} --posts {input.posts:q} {params.tables}"
        " --external-texts {input.texts:q} --cache {params.cache:q} --output {output:q} --log {log:q}"
