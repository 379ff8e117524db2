# Tables, figures and the report, from measurements alone.
rule table:
    input:
        lambda wildcards: metrics_of(wildcards.table),
        "configs/tables/{table}.yaml",
    output:
        multiext(f"results/{SCALE}/tables/{{table}}", ".tex", ".md", ".csv"),
    log:
        f"logs/{SCALE}/render/{{table}}.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        scale=SCALE,
    message:
        "table {wildcards.table}"
    shell:
        "python -m fasa render {wildcards.table} --scale {params.scale} > {log} 2>&1"


rule figure:
    input:
        lambda wildcards: metrics_of(wildcards.figure),
    output:
        multiext(f"figures/{SCALE}/{{figure}}", ".pdf", ".png"),
    log:
        f"logs/{SCALE}/render/{{figure}}.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        scale=SCALE,
        content=lambda wildcards: study.figures[wildcards.figure].model_dump_json(),
    message:
        "figure {wildcards.figure}"
    shell:
        "python -m fasa render {wildcards.figure} --scale {params.scale} > {log} 2>&1"


rule report:
    input:
        everything(),
    output:
        study.report_path,
    log:
        f"logs/{SCALE}/render/report.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        scale=SCALE,
    message:
        "report"
    shell:
        "python -m fasa render report --scale {params.scale} > {log} 2>&1"
