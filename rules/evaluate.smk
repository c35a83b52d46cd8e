rule evaluate:
    """Tag the evaluation splits in both views and score them."""
    input:
        unpack(jobs.inputs("evaluate")),
        model="results/{dataset}/runs/{encoder}/{system}/seed{seed}/model.safetensors",
        history="results/{dataset}/runs/{encoder}/{system}/seed{seed}/history.csv",
        posts="results/{dataset}/posts.parquet",
    output:
        metrics="results/{dataset}/runs/{encoder}/{system}/seed{seed}/metrics.json",
        predictions="results/{dataset}/runs/{encoder}/{system}/seed{seed}/predictions.parquet",
        card="results/{dataset}/runs/{encoder}/{system}/seed{seed}/README.md",
    log:
        "results/logs/{dataset}/evaluate/{encoder}/{system}/seed{seed}.log",
    benchmark:
        "results/benchmarks/{dataset}/evaluate/{encoder}/{system}/seed{seed}.tsv"
    conda:
        "../envs/ita.yaml"
    threads: jobs.threads("evaluate")
    resources:
        gpu=1,
        mem_mb=growing(8000),
        disk_mb=10000,
        runtime=growing(60),
    params:
        settings=jobs.settings("evaluate"),
    shell:
        "python -m ita evaluate --settings {params.settings:q} --model {input.model:q} --history {input.history:q}"
        " --posts {input.posts:q} --context {input.context:q} --features {input.features:q}"
        " --objects {input.objects:q}"
        " --metrics {output.metrics:q} --predictions {output.predictions:q} --card {output.card:q}"
        " --log {log:q}"
