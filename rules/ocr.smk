rule ocr:
    """Read the characters in the images."""
    input:
        unpack(jobs.inputs("ocr")),
        images="results/{dataset}/images.parquet",
    output:
        "results/{dataset}/ocr/{ocr_engine}/{shard}.parquet",
    log:
        "results/logs/{dataset}/ocr/{ocr_engine}/{shard}.log",
    benchmark:
        "results/benchmarks/{dataset}/ocr/{ocr_engine}/{shard}.tsv"
    conda:
        "../envs/ita.yaml"
    threads: 8
    resources:
        gpu=jobs.gpus("ocr"),
        mem_mb=growing(8000),
        disk_mb=10000,
        runtime=growing(240),
    params:
        settings=jobs.settings("ocr"),
    shell:
        "python -m ita ocr --settings {params.settings:q} --images {input.images:q} --shard {wildcards.shard}"
        " --output {output:q} --log {log:q}"
