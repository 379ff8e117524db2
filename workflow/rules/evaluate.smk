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
    priority: ENDING
    conda:
        "../../environment.yml"
    threads: threads_of
    resources:
        # One process measures, however many have trained.
        **RESOURCES
        | {
            "gpu": lambda wildcards: min(
                1, study.task_scale(wildcards.recipe).resources["gpu"]
            ),
            "mem_mb": memory_of("evaluate"),
        },
    params:
        fingerprint=fingerprint_of_measuring,
        scale=SCALE,
    message:
        f"evaluate {{wildcards.recipe}} seed {{wildcards.seed}}{WITH_MEMORY}"
    shell:
        "python -m fasa evaluate {wildcards.recipe:q} --seed {wildcards.seed:q} --scale {params.scale:q} {resources.device} > {log:q} 2>&1"
