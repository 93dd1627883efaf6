"""References of the methods and software that a report names, as text and as BibTeX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version


@dataclass(frozen=True)
class Reference:
    """A reference.

    Attributes
    ----------
    key : str
        Key of the BibTeX entry.
    kind : str
        ``article`` or ``software``.
    authors : tuple of str
        As ``Surname, Initials``.
    year, title : str
        The year is empty for software, which has a version.
    where : mapping of str to str
        Journal, volume and pages, or version and address.
    """

    key: str
    kind: str
    authors: tuple[str, ...]
    year: str
    title: str
    where: Mapping[str, str]

    @property
    def text(self) -> str:
        """As in a list of references."""
        names = [name.replace(",", "") for name in self.authors]
        who = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
        if self.kind == "software":
            return f"{who}. {self.title}, version {self.where['version']}. {self.where['url']}."
        pages = self.where["pages"].replace("--", "-")
        return f"{who} ({self.year}). {self.title}. {self.where['journal']} {self.where['volume']}: {pages}."

    @property
    def bibtex(self) -> str:
        """As an entry of a BibTeX file."""
        fields = {"author": " and ".join(self.authors), "title": f"{{{self.title}}}", "year": self.year, **self.where}
        lines = ",\n".join(f"  {name} = {{{text}}}" for name, text in fields.items() if text)
        return f"@{self.kind}{{{self.key},\n{lines}\n}}"


def _article(key: str, authors: str, year: str, title: str, where: str) -> Reference:
    """An article; `authors` are separated by semicolons, `where` is "journal | volume | pages"."""
    journal, volume, pages = (part.strip() for part in where.split("|"))
    names = tuple(name.strip() for name in authors.split(";"))
    return Reference(key, "article", names, year, title, {"journal": journal, "volume": volume, "pages": pages})


#: References by what they are cited for.
REFERENCES: Mapping[str, Reference] = {
    "hierlogit": Reference(
        "hierlogit",
        "software",
        ("hierlogit developers",),
        "",
        "hierlogit: mixed-effects logistic regression in Python",
        {"version": version("hierlogit"), "url": "https://github.com/hierlogit/hierlogit"},
    ),
    "laplace": _article(
        "pinheiro2006",
        "Pinheiro, J. C.; Chao, E. C.",
        "2006",
        "Efficient Laplacian and adaptive Gaussian quadrature algorithms for multilevel generalized linear mixed "
        "models",
        "Journal of Computational and Graphical Statistics | 15 | 58--81",
    ),
    "beta_binomial": _article(
        "skellam1948",
        "Skellam, J. G.",
        "1948",
        "A probability distribution derived from the binomial distribution by regarding the probability of success as "
        "variable between the sets of trials",
        "Journal of the Royal Statistical Society: Series B | 10 | 257--261",
    ),
    "nuts": _article(
        "hoffman2014",
        "Hoffman, M. D.; Gelman, A.",
        "2014",
        "The No-U-Turn sampler: adaptively setting path lengths in Hamiltonian Monte Carlo",
        "Journal of Machine Learning Research | 15 | 1593--1623",
    ),
    "rhat": _article(
        "vehtari2021",
        "Vehtari, A.; Gelman, A.; Simpson, D.; Carpenter, B.; Bürkner, P.-C.",
        "2021",
        "Rank-normalization, folding, and localization: an improved R-hat for assessing convergence of MCMC",
        "Bayesian Analysis | 16 | 667--718",
    ),
    "psis": _article(
        "vehtari2024",
        "Vehtari, A.; Simpson, D.; Gelman, A.; Yao, Y.; Gabry, J.",
        "2024",
        "Pareto smoothed importance sampling",
        "Journal of Machine Learning Research | 25 | 1--58",
    ),
    "pymc": _article(
        "abrilpla2023",
        "Abril-Pla, O.; Andreani, V.; Carroll, C.; Dong, L.; Fonnesbeck, C. J.; Kochurov, M.; Kumar, R.; Lao, J.; "
        "Luhmann, C. C.; Martin, O. A.; Osthege, M.; Vieira, R.; Wiecki, T.; Zinkov, R.",
        "2023",
        "PyMC: a modern, and comprehensive probabilistic programming framework in Python",
        "PeerJ Computer Science | 9 | e1516",
    ),
    "sampling_weights": _article(
        "rabehesketh2006",
        "Rabe-Hesketh, S.; Skrondal, A.",
        "2006",
        "Multilevel modelling of complex survey data",
        "Journal of the Royal Statistical Society A | 169 | 805-827",
    ),
    "between_within": _article(
        "li2015",
        "Li, P.; Redden, D. T.",
        "2015",
        "Comparing denominator degrees of freedom approximations for the generalized linear mixed model in analyzing "
        "binary outcome in small sample cluster-randomized trials",
        "BMC Medical Research Methodology | 15 | 38",
    ),
    "barnard_rubin": _article(
        "barnard1999",
        "Barnard, J.; Rubin, D. B.",
        "1999",
        "Small-sample degrees of freedom with multiple imputation",
        "Biometrika | 86 | 948--955",
    ),
    "stacked": _article(
        "zhou2010",
        "Zhou, X.; Reiter, J. P.",
        "2010",
        "A note on Bayesian inference after multiple imputation",
        "The American Statistician | 64 | 159--163",
    ),
    "robust": _article(
        "liang1986",
        "Liang, K.-Y.; Zeger, S. L.",
        "1986",
        "Longitudinal data analysis using generalized linear models",
        "Biometrika | 73 | 13–22",
    ),
    "jackknife": _article(
        "mackinnon2023",
        "MacKinnon, J. G.; Nielsen, M. Ø.; Webb, M. D.",
        "2023",
        "Cluster-robust inference: a guide to empirical practice",
        "Journal of Econometrics | 232 | 272–299",
    ),
    "icc": _article(
        "goldstein2002",
        "Goldstein, H.; Browne, W.; Rasbash, J.",
        "2002",
        "Partitioning variation in multilevel models",
        "Understanding Statistics | 1 | 223--231",
    ),
    "mor": _article(
        "larsen2005",
        "Larsen, K.; Merlo, J.",
        "2005",
        "Appropriate assessment of neighborhood effects on individual health: integrating random and fixed effects in "
        "multilevel logistic regression",
        "American Journal of Epidemiology | 161 | 81--88",
    ),
    "average": _article(
        "zeger1988",
        "Zeger, S. L.; Liang, K.-Y.; Albert, P. S.",
        "1988",
        "Models for longitudinal data: a generalized estimating equation approach",
        "Biometrics | 44 | 1049--1060",
    ),
}
