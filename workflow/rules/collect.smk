# One target for each table and figure: `snakemake table_cifar_lt`, `snakemake figure_fig4a`.
for user in study.artifacts():

    rule:
        name:
            f"{'table' if user in study.tables else 'figure'}_{user}"
        input:
            metrics_of(user),
            rendered(user),
        localrule: True


def refusal_of(user):
    """An input function that ends all with the reason why this scale has no such table or figure."""

    def tell(wildcards):
        try:
            study.check_artifact(user)
        except UserError as error:
            refuse(error)

    return tell


# Those that the scale cannot run: the same names, which say so.
for user, kind in study.unavailable.items():

    rule:
        name:
            f"{kind}_{user}"
        input:
            refusal_of(user),
        localrule: True
