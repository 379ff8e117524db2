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
        source=source_option(settings.source),
    message:
        "prepare {wildcards.dataset}"
    shell:
        "python -m fasa data {params.recipe:q} --scale {params.scale:q} {params.source} > {log:q} 2>&1"


# The same for a detector's: generated scenes, or the official files of LVIS and COCO, checked.
use rule prepare as prepare_detection with:
    output:
        "resources/{dataset}/{cut}/manifest.json",
    localrule: True
    params:
        recipe=recipe_of_pack,
        scale=SCALE,
        source=lambda wildcards: source_option(official_data(wildcards.dataset)),
