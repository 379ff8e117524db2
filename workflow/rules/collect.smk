# One target for each table and figure: `snakemake table_cifar_lt`, `snakemake figure_fig4a`.
for user in study.users():

    rule:
        name:
            f"{'table' if user in study.tables else 'figure'}_{user}"
        input:
            metrics_of(user),
            rendered(user),
        localrule: True
