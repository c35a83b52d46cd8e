rule train:
    """Train one system with one seed; a killed job goes on from its last epoch."""
    input:
        unpack(jobs.inputs("train")),
        posts="results/{dataset}/posts.parquet",
    output:
        model="results/{dataset}/runs/{encoder}/{system}/seed{seed}/model.safetensors",
        history="results/{dataset}/runs/{encoder}/{system}/seed{seed}/history.csv",
        settings="results/{dataset}/runs/{encoder}/{system}/seed{seed}/settings.json",
        # The other files of the run folder, where results lie on storage.
        bundle=jobs.bundle(),
    log:
        "results/logs/{dataset}/train/{encoder}/{system}/seed{seed}.log",
    benchmark:
        "results/benchmarks/{dataset}/train/{encoder}/{system}/seed{seed}.tsv"
    conda:
        "../envs/ita.yaml"
    threads: jobs.threads("train")
    resources:
        gpu=1,
        mem_mb=growing(24000),
        disk_mb=20000,
        runtime=720,
    params:
        settings=jobs.settings("train"),
        checkpoint="results/{dataset}/runs/{encoder}/{system}/seed{seed}/checkpoint",
    shell:
        "python -m ita train --settings {params.settings:q} --posts {input.posts:q} --context {input.context:q}"
        " --features {input.features:q} --objects {input.objects:q} --relation-posts {input.relation_posts:q}"
        " --relation-features {input.relation_features:q} --checkpoint {params.checkpoint:q} --output {output.model:q}"
        " --history {output.history:q} --run-settings {output.settings:q}"
        + jobs.either("", storage=" --bundle {output.bundle:q}")
        + " --log {log:q}"
