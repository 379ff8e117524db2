# Tables, figures, findings and the report, from measurements alone.
CLAIMS = config_path(study.root, "claims.yaml")


rule table:
    input:
        lambda wildcards: metrics_of(wildcards.table),
        lambda wildcards: config_path(study.root, f"tables/{wildcards.table}.yaml"),
    output:
        multiext(f"results/{SCALE}/tables/{{table}}", ".tabular.tex", ".tex", ".md"),
        report(
            f"results/{SCALE}/tables/{{table}}.csv",
            category="Tables",
            labels={"table": "{table}"},
        ),
    log:
        f"logs/{SCALE}/render/{{table}}.log",
    priority: ENDING
    localrule: True
    conda:
        "../../environment.yml"
    params:
        scale=SCALE_AND_SEEDS,
    message:
        "table {wildcards.table}"
    shell:
        "python -m fasa render {wildcards.table:q} --scale {params.scale} > {log:q} 2>&1"


rule figure:
    input:
        lambda wildcards: metrics_of(wildcards.figure),
    output:
        f"figures/{SCALE}/{{figure}}.pdf",
        report(
            f"figures/{SCALE}/{{figure}}.png",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
    log:
        f"logs/{SCALE}/render/{{figure}}.log",
    priority: ENDING
    localrule: True
    conda:
        "../../environment.yml"
    params:
        scale=SCALE_AND_SEEDS,
        content=lambda wildcards: study.figures[wildcards.figure].model_dump_json(),
    message:
        "figure {wildcards.figure}"
    shell:
        "python -m fasa render {wildcards.figure:q} --scale {params.scale} > {log:q} 2>&1"


rule findings:
    input:
        everything(),
        CLAIMS,
    output:
        study.findings_path,
    log:
        f"logs/{SCALE}/render/findings.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        scale=SCALE_AND_SEEDS,
    message:
        "findings"
    shell:
        "python -m fasa render findings --scale {params.scale} > {log:q} 2>&1"


rule report:
    input:
        everything(),
        CLAIMS,
    output:
        report(study.report_path, category="Report", labels={"scale": SCALE}),
    log:
        f"logs/{SCALE}/render/report.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        scale=SCALE_AND_SEEDS,
    message:
        "report"
    shell:
        "python -m fasa render report --scale {params.scale} > {log:q} 2>&1"


rule paper:
    input:
        everything(),
        CLAIMS,
    output:
        study.paper_path,  # and beside it paper.pdf, where a TeX is installed
        study.paper_path.with_name("numbers.tex"),
    log:
        f"logs/{SCALE}/render/paper.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        scale=SCALE_AND_SEEDS,
    message:
        "numbers.tex, paper.tex and, with a TeX, paper.pdf"
    shell:
        "python -m fasa render paper --scale {params.scale} > {log:q} 2>&1"


# What `make reproduce` makes: the paper's own rows of a few tables, some by their first seed alone. What the rules above
# make of more runs is drawn here of fewer; the others are a dash and a reason.
ALL_SEEDS, FIRST_SEED = (
    [name for name in names if name in study.artifacts()]
    for names in (settings.reproduce.all_seeds, settings.reproduce.first_seed)
)
QUICK = study.with_needed(
    (
        *(Run(n, seed) for n in of_the_paper(ALL_SEEDS) for seed in study.seeds(n)),
        *(Run(n, study.seeds(n)[0]) for n in of_the_paper(FIRST_SEED)),
    )
)


rule reproduce:
    input:
        [study.metrics_path(run.recipe, run.seed) for run in QUICK],
    log:
        f"logs/{SCALE}/render/reproduce.log",
    localrule: True
    conda:
        "../../environment.yml"
    params:
        scale=SCALE_AND_SEEDS,
        names=[
            *dict.fromkeys(
                ALL_SEEDS + FIRST_SEED + served_by(run.recipe for run in QUICK)
            )
        ],
    message:
        "tables, figures, findings, report and paper"
    shell:
        "python -m fasa render {params.names:q} findings report paper --scale {params.scale} > {log:q} 2>&1"
