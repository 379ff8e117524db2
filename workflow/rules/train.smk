# What small detectors have in place of ImageNet: a backbone trained on glyphs that no scene shows.
rule pretrain:
    output:
        "resources/glyphs/backbones/{backbone}.pt",
    log:
        f"logs/{SCALE}/pretrain/{{backbone}}.log",
    priority: FIRST
    conda:
        "../../environment.yml"
    threads: lambda wildcards: study.task_scale(recipe_of_pretrained(wildcards)).threads
    resources:
        **{
            name: lambda wildcards, name=name: asked_of_cluster(
                recipe_of_pretrained(wildcards), name
            )
            for name in ("gpu", "mem_mb", "runtime")
        },
    params:
        recipe=recipe_of_pretrained,
        settings=pretraining_of,
        scale=SCALE,
    message:
        "pre-train {wildcards.backbone}"
    shell:
        "python -m fasa pretrain {params.recipe:q} --scale {params.scale:q} > {log:q} 2>&1"


# The paper's size: ImageNet's weights, by the machine that runs this, for nodes often have no network.
rule fetch_weights:
    output:
        "resources/weights/{backbone}.pth",
    log:
        f"logs/{SCALE}/fetch_weights/{{backbone}}.log",
    retries: 2
    localrule: True
    conda:
        "../../environment.yml"
    params:
        recipe=recipe_of_pretrained,
        scale=SCALE,
    message:
        "fetch {wildcards.backbone}"
    shell:
        "python -m fasa pretrain {params.recipe:q} --scale {params.scale:q} > {log:q} 2>&1"


# Train a run. Checkpoints lie beside the outputs, undeclared, so that a kill or a retry never takes them away.
rule train:
    input:
        data=ancient(pack_of),
        needed=weights_needed_by,
        pretrained=ancient(pretrained_of),
    output:
        f"work_dirs/{SCALE}/{{recipe}}/seed-{{seed}}/cost.json",
        f"work_dirs/{SCALE}/{{recipe}}/seed-{{seed}}/history.json",
        weights=f"work_dirs/{SCALE}/{{recipe}}/seed-{{seed}}/model.pt",
    log:
        f"logs/{SCALE}/train/{{recipe}}-{{seed}}.log",
    priority: longest_first
    conda:
        "../../environment.yml"
    threads: threads_of
    resources:
        **RESOURCES | {"runtime": runtime_of_training, "mem_mb": memory_of("train")},
    params:
        fingerprint=fingerprint_of,
        scale=SCALE,
    message:
        f"train {{wildcards.recipe}} seed {{wildcards.seed}}{WITH_MEMORY}"
    shell:
        "python -m fasa train {wildcards.recipe:q} --seed {wildcards.seed:q} --scale {params.scale:q} {resources.device} > {log:q} 2>&1"
