rule download:
    """Fetch the images of the posts; one row per image tells its fate."""
    input:
        unpack(jobs.inputs("download")),
        posts="results/{dataset}/posts.parquet",
    output:
        "results/{dataset}/images.parquet",
        # The images themselves, where results lie on storage.
        shards=jobs.image_shards(),
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
        # Not an output: images that were fetched once are not fetched again.
        store=jobs.either(subpath(output[0], strip_suffix=".parquet"), storage="results/{dataset}/images"),
    shell:
        "python -m ita download --settings {params.settings:q} --posts {input.posts:q} --store {params.store:q}"
        + jobs.either(" --output {output:q}", storage=" --output {output[0]:q} --shards {output.shards:q}")
        + " --log {log:q}"
