rule context:
    """Join what was found in each post's image into words."""
    input:
        unpack(jobs.inputs("context")),
        posts="results/{dataset}/posts.parquet",
    output:
        "results/{dataset}/contexts/{context}.parquet",
    log:
        "results/logs/{dataset}/context/{context}.log",
    benchmark:
        "results/benchmarks/{dataset}/context/{context}.tsv"
    conda:
        "../envs/ita.yaml"
    resources:
        mem_mb=growing(2000),
        disk_mb=2000,
        runtime=growing(30),
    params:
        settings=jobs.settings("context"),
        cache="results/{dataset}/downloads",
    shell:
        "python -m ita context --settings {params.settings:q} --posts {input.posts:q}"
        " --objects {input.objects:q} --captions {input.captions:q} --ocr {input.ocr:q}"
        " --knowledge {input.knowledge:q} --external-texts {input.external_texts:q} --cache {params.cache:q} --output {output:q} --log {log:q}"
