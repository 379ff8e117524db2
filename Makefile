# Four doors. Each sets up .venv/ first, which takes minutes once and nothing after that.
.PHONY: reproduce test lint docs gpu-check where setup
.DEFAULT_GOAL := reproduce
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# At the mini scale the paper's tables and figures of classifiers and its ablation of detectors, by one seed:
# results/mini/report.html. `.venv/bin/snakemake --cores all` makes everything.
reproduce: setup
	python workflow/scripts/with_progress.py snakemake --cores all reproduce

# Everything that needs no GPU. Data tests run where FASA_TEST_DATA names a folder with the originals.
# One thread each: two run at a time, and a process that forks beside a pool of threads can wait for one for ever.
test: lint
	OMP_NUM_THREADS=1 pytest -n 2 --dist worksteal --durations=10

# Style, types, and the workflow's own check.
lint: setup
	ruff check .
	ruff format --check .
	clang-format --dry-run --Werror fasa/evaluation/native/*
	snakefmt --check Snakefile workflow
	mypy
	snakemake --lint

# The documentation, as a site of its own: site/index.html.
docs: setup
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict

# On a machine with a GPU, in ten minutes: what breaks, what a step costs, then runs of the table as time allows.
#   make gpu-check OUT=folder [MINUTES=10]      the same again goes on
MINUTES ?= 10
gpu-check: where setup
	fasa data ldam --scale paper
	python -m benchmarks.gpu "$(OUT)" --minutes $(MINUTES)

where:
	@test -n "$(OUT)" || { echo "gpu-check: say where its results go: make gpu-check OUT=folder" >&2; exit 2; }

setup:
	@requirements/install.sh
