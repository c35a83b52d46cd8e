rule caption:
    """Describe the images."""
    input:
        images="results/{dataset}/images.parquet",
        files=precomputed_files("caption"),
    output:
        "results/{dataset}/captions/{captioner}.parquet",
    log:
        "results/logs/{dataset}/caption/{captioner}.log",
    benchmark:
        "results/benchmarks/{dataset}/caption/{captioner}.tsv"
    conda:
        "../envs/ita.yaml"
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=480,
    params:
        settings=settings("caption"),
    shell:
        "python -m ita.caption --settings {params.settings:q} --images {input.images} --output {output} --log {log}"
