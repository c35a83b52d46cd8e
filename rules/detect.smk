rule detect:
    """Find objects in the images."""
    input:
        images="results/{dataset}/images.parquet",
        files=precomputed_files("detect"),
    output:
        "results/{dataset}/objects/{detector}.parquet",
    log:
        "results/logs/{dataset}/detect/{detector}.log",
    benchmark:
        "results/benchmarks/{dataset}/detect/{detector}.tsv"
    conda:
        "../envs/ita.yaml"
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=480,
    params:
        settings=settings("detect"),
    shell:
        "python -m ita.detect --settings {params.settings:q} --images {input.images} --output {output} --log {log}"
