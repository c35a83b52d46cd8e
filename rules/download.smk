rule download:
    """Fetch the images of the posts; one row per image tells its fate."""
    input:
        unpack(jobs.inputs("download")),
        posts="results/{dataset}/posts.parquet",
    output:
        "results/{dataset}/images.parquet",
    log:
        "results/logs/{dataset}/download.log",
    benchmark:
        "results/benchmarks/{dataset}/download.tsv"
    conda:
        "../envs/ita.yaml"
    resources:
        mem_mb=growing(2000),
        disk_mb=50000,
        runtime=240,
    params:
        settings=jobs.settings("download"),
        store=subpath(output[0], strip_suffix=".parquet"),
    shell:
        "python -m ita download --settings {params.settings:q} --posts {input.posts:q} --store {params.store:q}"
        " --output {output:q} --log {log:q}"
