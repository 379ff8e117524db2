# Prepare a data set once for each way to cut it.
rule prepare:
    output:
        "resources/{dataset}/{cut}.npz",
    log:
        f"logs/{SCALE}/prepare/{{dataset}}-{{cut}}.log",
    priority: FIRST
    retries: 2
    localrule: True
    conda:
        "../../environment.yml"
    params:
        recipe=recipe_of_pack,
        scale=SCALE,
        source=f"--source {config['source']}" if "source" in config else "",
    message:
        "prepare {wildcards.dataset}"
    shell:
        "python -m fasa data {params.recipe} --scale {params.scale} {params.source} > {log} 2>&1"


# The same for a detector's: generated scenes, or the official files of LVIS and COCO, checked.
use rule prepare as prepare_detection with:
    output:
        "resources/{dataset}/{cut}/manifest.json",
    localrule: True
    params:
        recipe=recipe_of_pack,
        scale=SCALE,
        source=lambda wildcards: source_of(wildcards.dataset),
