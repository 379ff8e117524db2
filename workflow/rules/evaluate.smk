# Measure a trained run.
rule evaluate:
    input:
        rules.train.output,
        data=ancient(pack_of),
    output:
        f"results/{SCALE}/runs/{{recipe}}/seed-{{seed}}/provenance.json",
        metrics=f"results/{SCALE}/runs/{{recipe}}/seed-{{seed}}/metrics.json",
    log:
        f"logs/{SCALE}/evaluate/{{recipe}}-{{seed}}.log",
    conda:
        "../../environment.yml"
    threads: threads_of
    resources:
        # One process measures, however many have trained.
        **RESOURCES
        | {
            "gpu": lambda wildcards: min(
                1, study.task_scale(wildcards.recipe).resources["gpu"]
            )
        },
    params:
        fingerprint=fingerprint_of_measuring,
        scale=SCALE_AND_DEVICE,
    message:
        "evaluate {wildcards.recipe} seed {wildcards.seed}"
    shell:
        "python -m fasa evaluate {wildcards.recipe} --seed {wildcards.seed} --scale {params.scale} > {log} 2>&1"
