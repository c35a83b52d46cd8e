rule knowledge:
    """Ask a language model about the posts."""
    input:
        unpack(jobs.inputs("knowledge")),
        posts="results/{dataset}/posts.parquet",
    output:
        "results/{dataset}/knowledge/{knowledge_source}/{shard}.parquet",
    log:
        "results/logs/{dataset}/knowledge/{knowledge_source}/{shard}.log",
    benchmark:
        "results/benchmarks/{dataset}/knowledge/{knowledge_source}/{shard}.tsv"
    conda:
        "../envs/ita.yaml"
    resources:
        gpu=jobs.gpus("knowledge"),
        mem_mb=growing(16000),
        disk_mb=20000,
        runtime=1440,
    params:
        settings=jobs.settings("knowledge"),
        # Answers of all sources and shards. Not an output: what was answered once is not asked again.
        answers="results/{dataset}/answers",
    shell:
        "python -m ita knowledge --settings {params.settings:q} --posts {input.posts:q} --images {input.images:q}"
        " --objects {input.objects:q} --captions {input.captions:q} --ocr {input.ocr:q}"
        " --tagger {input.tagger:q} --context {input.context:q} --answers {params.answers:q}"
        " --shard {wildcards.shard} --output {output:q} --log {log:q}"
