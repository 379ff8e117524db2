# Two doors. Each sets up .venv/ first, which takes minutes once and nothing after that.
.PHONY: reproduce test setup
.DEFAULT_GOAL := reproduce
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# Every classification table and figure at the mini scale: results/mini/report.html.
reproduce: setup
	python workflow/scripts/with_progress.py snakemake --cores all

# Everything that needs no GPU. Data tests run where FASA_TEST_DATA names a folder with the originals.
test: setup
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	pytest -n 2 --dist worksteal

setup:
	@requirements/install.sh
