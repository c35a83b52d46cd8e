rule demo:
    """Make the demo's posts, pictures and models."""
    output:
        train="results/demo/source/train.txt",
        valid="results/demo/source/valid.txt",
        test="results/demo/source/test.txt",
        relation_train="results/demo/source/relation-train.csv",
        relation_valid="results/demo/source/relation-valid.csv",
        models=jobs.demo_models(),
        images=directory("results/demo/source/images"),
    log:
        "results/logs/demo/demo.log",
    benchmark:
        "results/benchmarks/demo/demo.tsv"
    # Where results lie on storage: the plugin for S3 does not see folders that other machines made.
    localrule: bool(copies)
    conda:
        "../envs/ita.yaml"
    resources:
        mem_mb=growing(1000),
        disk_mb=1000,
        runtime=growing(10),
    params:
        settings=jobs.settings("demo", dataset="demo"),
        folder=subpath(output.train, parent=True),
    shell:
        "python -m ita demo --settings {params.settings:q} --output {params.folder:q} --log {log:q}"
