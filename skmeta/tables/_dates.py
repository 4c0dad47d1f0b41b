"""Dates in text, with one format for a whole column."""

import re
from dataclasses import dataclass

from ._cells import MONTH, NO_VALUE, shown
from ._files import import_pandas
from ._numbers import MOST, n_values

SEPARATORS = ("-", "/", ".", " ")
NUMERIC = ("%Y{s}%m{s}%d", "%d{s}%m{s}%Y", "%m{s}%d{s}%Y", "%d{s}%m{s}%y",
           "%m{s}%d{s}%y", "%y{s}%m{s}%d")  # fmt: skip
NAMED = ("%d{s}%b{s}%Y", "%b{s}%d{s}%Y", "%d{s}%b{s}%y", "%Y{s}%b{s}%d", "%b{s}%Y")
OTHERS = ("%d%b%Y", "%Y-%m", "%Y/%m", "%m/%Y")
COMPACT = "%Y%m%d"
MAX_DAY = 30
"""Characters of a date without its time of day, at most."""

YEARS = (1900, 2100)
"""Range of years of eight-digit numbers that are dates."""

WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?"
PARTS = re.compile(
    WEEKDAY + r"(?P<day>.+?)(?:(?:[T ,:]\s*)(?P<hour>\d{1,2}):(?P<minute>\d\d)"
    r"(?::(?P<second>\d\d(?:\.\d+)?))?\s*(?P<half>(?:[ap]\.?m\.?)?)\s*"
    r"(?P<zone>(?:z|utc|gmt|[+-]\d\d(?::?\d\d)?)?))?",
    re.IGNORECASE,
)
SHAPE = re.compile(
    r"\d{1,4}([-/. ])\d{1,2}\1\d{1,4}|\d{8}|\d{4}[-/]\d{1,2}|\d{1,2}/\d{4}"
    r"|\d{0,4}[-/. ]?[a-z]{3}[-/. ]?\d{1,4}(?:[-/. ]\d{1,4})?",
    re.IGNORECASE,
)
NO_YEAR = re.compile(r"\d{1,2}[-/. ]*[a-z]{3}|[a-z]{3}[-/. ]*\d{1,2}", re.IGNORECASE)
MAYBE_DATE = re.compile(
    r"(?:\d{4}([-/. ])\d{1,2}\1\d{1,2}|\d{1,2}([-/. ])\d{1,2}\2(?:\d\d|\d{4}))(?!\d).*"
)
WORDS = re.compile(r"[A-Za-z,\s]")
PADDED = re.compile(r"\d\d\.\d\d\.\d\d")


@dataclass(frozen=True)
class DateFormat:
    """The format of the dates of a column, without the time of day.

    ``code`` is a format of `datetime.strptime`.
    """

    code: str

    @property
    def day_first(self):
        """Whether the day is before the month; None if the format leaves no doubt."""
        if "%b" in self.code or "%d" not in self.code or self.code[1] in "Yy":
            return None
        return self.code.startswith("%d")

    @property
    def swapped(self):
        """The same format with day and month swapped."""
        code = self.code.replace("%d", "%_").replace("%m", "%d").replace("%_", "%m")
        return DateFormat(code)

    @property
    def described(self):
        """How a text is read as a date, as a list of phrases."""
        order = {True: ["day first"], False: ["month first"], None: []}[self.day_first]
        if self.code.startswith("%y"):
            order = ["year first"]
        if "%y" in self.code:
            order.append("years from 1969 to 2068")
        return order

    def read(self, text):
        """Local time stamps of a Series of text; NaT for what is no date."""
        pd = import_pandas()
        different = pd.Series(text.unique(), dtype=object)
        dates = self.dates(in_parts(different))
        return dates.iloc[pd.Index(different).get_indexer(text)].set_axis(text.index)

    def dates(self, parts):
        """Time stamps of the output of `in_parts`."""
        pd = import_pandas()
        day = parts["day"]
        if "%y" in self.code and "." in self.code:  # versions are 1.2.10
            day = day.where(day.str.fullmatch(PADDED.pattern))
        if self.code == COMPACT:
            day = day.where(day.str.fullmatch(r"\d{8}"))
        dates = pd.to_datetime(day, format=self.code, errors="coerce")
        dates = dates.astype("datetime64[us]")
        if self.code == COMPACT:
            dates = dates.where(dates.dt.year.between(*YEARS))
        return dates + parts["time"]


def in_parts(text):
    """The day, as text, and the time of day, of a Series of text."""
    pd = import_pandas()
    found = [PARTS.fullmatch(value.strip()) for value in text]
    times = [_time(match) if match else None for match in found]
    return pd.DataFrame(
        {
            "day": pd.Series([_plain(m["day"]) if m else "" for m in found], dtype=str),
            "time": pd.to_timedelta(pd.Series(times, dtype=float), unit="s"),
        }
    ).set_index(text.index)


def _plain(day):
    """Normalise a day: short names of months, no commas, no ordinals."""
    if len(day) > MAX_DAY:
        return ""
    if not WORDS.search(day):
        return day
    day = re.sub(r"(?<=\d)(?:st|nd|rd|th)\b|(?<=\d)\.(?=\s)|,", " ", day)
    day = MONTH.sub(lambda match: match[match.lastindex], day)
    day = re.sub(r"(?<=[A-Za-z])\.", " ", day)
    return " ".join(day.split())


def _time(match):
    """Seconds from midnight, in local time; None if there is no such time."""
    if not match["hour"]:
        return 0.0
    hour, minute = int(match["hour"]), int(match["minute"])
    second, half = float(match["second"] or 0), match["half"].lower()
    if minute > 59 or second >= 60 or hour > 23 or (half and not 1 <= hour <= 12):
        return None
    if half:
        hour = hour % 12 + 12 * half.startswith("p")
    return 3600.0 * hour + 60 * minute + second


def zones_differ(text):
    """Whether times in a Series of text have different zones, or only some have one."""
    found = [PARTS.fullmatch(value.strip()) for value in text]
    return len({_zone(match["zone"]) for match in found if match and match["hour"]}) > 1


def _zone(text):
    """A zone as its offset from UTC; empty if there is none."""
    digits = re.sub("[^0-9+-]", "", text)
    return digits.ljust(5, "0") if digits else "+0000" if text else ""


class DateSurvey:
    """Date formats that fit a column of text.

    Parameters
    ----------
    counts : Series of int
        Counts of the values, as returned by `tally`.
    day_first : bool or None
        What the user sets.

    Attributes
    ----------
    formats : list of DateFormat
        Those in which most values are dates, one for each different result.
    share : float
        Share of the values that are dates in these formats.
    contrary : bool
        Whether some values show that the day is first, and some that the month is.
    proves : bool or None
        Whether the values prove that the day is first, or the month; None if neither.
    """

    def __init__(self, counts, day_first=None):
        self.formats, self.share, self.contrary, self.proves = [], 0.0, False, None
        self.n_values, self.day_first = n_values(counts), day_first
        looks = self._like_dates(counts)
        if not looks:
            return
        counts = counts[looks]
        parts = in_parts(counts.index.to_series())
        read = {form: form.dates(parts) for form in _formats(parts["day"], day_first)}
        self.contrary = any(
            (dates.notna() & read[form.swapped].isna()).any()
            and (dates.isna() & read[form.swapped].notna()).any()
            for form, dates in read.items()
            if form.swapped in read
        )
        fitting = {form: counts[dates.notna()].sum() for form, dates in read.items()}
        most = max(fitting.values())
        if self.contrary or most < MOST * self.n_values:
            return
        self.share = most / self.n_values
        best = [form for form, count in fitting.items() if count == most]
        for form in best:
            if not any(read[form].equals(read[other]) for other in self.formats):
                self.formats.append(form)
        if len(best) == 1:
            self.proves = best[0].day_first
        if len(self.formats) > 1:  # years come first only with hyphens
            self.formats = [
                form
                for form in self.formats
                if not form.code.startswith("%y") or "-" in form.code
            ]

    def _like_dates(self, counts):
        """List of values that look like dates; empty if these are not the most."""
        looks, n_others = [], 0
        for text, count in counts.items():
            match = PARTS.fullmatch(text)
            if match and SHAPE.fullmatch(_plain(match["day"])):
                looks.append(text)
            elif text.casefold() not in NO_VALUE:
                n_others += count
                if self.n_values - n_others < MOST * self.n_values:
                    return []
        return looks

    def format(self, day_first):
        """The format of the column; None if ambiguous.

        Parameters
        ----------
        day_first : bool or None
            What other columns prove; a setting of the user takes precedence.
        """
        if len(self.formats) == 1:
            return self.formats[0]
        if any(form.day_first is None for form in self.formats):
            day_first = None
        if self.day_first is not None:
            day_first = self.day_first
        for form in self.formats:
            if day_first is not None and form.day_first == day_first:
                return form
        return None


def _formats(days, day_first):
    """Formats to try, by the separators in the days."""
    found = [s for s in SEPARATORS if days.str.contains(s, regex=False).any()]
    codes = [code.format(s=s) for s in found for code in (*NUMERIC, *NAMED)]
    forms = [DateFormat(code) for code in (COMPACT, *codes, *OTHERS)]
    return [f for f in forms if day_first is None or f.day_first in (None, day_first)]


def maybe_dates(counts):
    """Hint for text that is not read as dates but looks like them; else empty."""
    days = [_plain(text) for text in counts.index]
    without_year = [bool(NO_YEAR.fullmatch(day) and MONTH.search(day)) for day in days]
    most = MOST * n_values(counts)
    if counts[without_year].sum() >= most:
        return (
            f"If these are dates, e.g. {shown(counts[without_year].index[0])}, their "
            "year is missing: write them as 2021-01-31."
        )
    like = [bool(MAYBE_DATE.fullmatch(text)) for text in counts.index]
    if counts[like].sum() >= most:
        return (
            f"If these are dates, e.g. {shown(counts[like].index[0])}, they are not "
            "written as those that are read: write them as 2021-01-31, or as "
            "2021-01-31 22:00 with a time."
        )
    return ""
