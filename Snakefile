# Every table and figure of FASA (ICCV 2021). `snakemake` alone makes the mini scale; README.md has the rest.
from snakemake.utils import min_version

min_version("9.20")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/render.smk"
include: "workflow/rules/collect.smk"


rule all:
    default_target: True
    input:
        study.report_path,
        study.findings_path,
        study.paper_path,
        everything(),
