//! ISO 8601 dates as instants.

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant {
    /// Seconds since the beginning of 1970, UTC.
    pub(super) seconds: i64,
    /// Billionths of a second after that.
    pub(super) nanos: u32,
}

impl Instant {
    /// Parse `YYYY-MM-DD`, optionally followed by `T` or a space, a time `HH:MM`, `HH:MM:SS` or
    /// `HH:MM:SS.fraction`, and an offset `Z`, `+HH`, `+HHMM`, `+HH:MM` or `+HH:MM:SS`. The time
    /// defaults to midnight, the offset to UTC. Digits below a billionth of a second are cut off.
    /// Return `None` for any other text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut rest = Digits(text.as_bytes());
        let year = rest.number(4)?;
        rest.take(b"-")?;
        let month = rest.number(2).filter(|month| (1..=12).contains(month))?;
        rest.take(b"-")?;
        let day = rest.number(2).filter(|day| (1..=days_of(year, month)).contains(day))?;
        let midnight = days_since_1970(year, month, day) * 86_400;
        if rest.0.is_empty() {
            return Some(Self { seconds: midnight, nanos: 0 });
        }
        rest.take(b"Tt ")?;
        let (hour, minute) = rest.hour_and_minute()?;
        let (mut second, mut nanos) = (0, 0);
        if rest.take(b":").is_some() {
            second = rest.number(2).filter(|second| *second < 60)?;
            if rest.take(b".,").is_some() {
                nanos = rest.fraction()?;
            }
        }
        let offset = rest.offset()?;
        rest.0.is_empty().then_some(Self { seconds: midnight + hour * 3600 + minute * 60 + second - offset, nanos })
    }
}

/// The rest of the text to parse.
struct Digits<'a>(&'a [u8]);

impl Digits<'_> {
    /// Take one of these characters.
    fn take(&mut self, allowed: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        allowed.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    /// Take a number of exactly `digits` digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        number.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
    }

    fn hour_and_minute(&mut self) -> Option<(i64, i64)> {
        let hour = self.number(2).filter(|hour| *hour < 24)?;
        self.take(b":")?;
        let minute = self.number(2).filter(|minute| *minute < 60)?;
        Some((hour, minute))
    }

    /// Take one or more digits of a fraction of a second, and return it in billionths.
    fn fraction(&mut self) -> Option<u32> {
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (fraction, rest) = self.0.split_at(digits);
        self.0 = rest;
        let places = fraction.iter().map(|digit| u32::from(digit - b'0')).chain(std::iter::repeat(0)).take(9);
        (digits > 0).then(|| places.fold(0, |sum, digit| sum * 10 + digit))
    }

    /// Take the offset: the seconds by which local time is ahead of UTC.
    fn offset(&mut self) -> Option<i64> {
        let sign = match self.take(b"Zz+-") {
            None | Some(b'Z' | b'z') => return Some(0),
            Some(b'-') => -1,
            Some(_) => 1,
        };
        let hour = self.number(2).filter(|hour| *hour < 24)?;
        let has_colon = self.take(b":").is_some();
        let below_60 = |number: &i64| *number < 60;
        let minute = if has_colon || !self.0.is_empty() { self.number(2).filter(below_60)? } else { 0 };
        let has_second = has_colon && self.take(b":").is_some();
        let second = if has_second { self.number(2).filter(below_60)? } else { 0 };
        Some(sign * (hour * 3600 + minute * 60 + second))
    }
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Count the days of the Gregorian calendar since 1970-01-01, negative before it.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    // In a year that begins in March the leap day is last, so the days before a month need no
    // table.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let before_month = (153 * month + 2) / 5;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + before_month + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<i64> {
        Instant::parse(text).map(|instant| instant.seconds)
    }

    #[test]
    fn dates_are_seconds_since_1970() {
        assert_eq!(seconds("1970-01-01"), Some(0));
        assert_eq!(seconds("1969-12-31T23:59:59Z"), Some(-1));
        assert_eq!(seconds("2000-02-29"), Some(951_782_400));
        assert_eq!(seconds("2024-05-01T02:00:00+02:00"), seconds("2024-05-01"));
        assert_eq!(seconds("2024-05-01 10:20"), Some(1_714_558_800));
        // Offsets as PostgreSQL and `date +%z` write them.
        assert_eq!(seconds("2024-05-01 02:00:00+02"), seconds("2024-05-01"));
        assert_eq!(seconds("2024-05-01T05:30:00+0530"), seconds("2024-05-01"));
        assert_eq!(seconds("2024-04-30T18:00-0600"), seconds("2024-05-01"));
        assert_eq!(seconds("9999-12-31T23:59:59"), Some(253_402_300_799));
        assert_eq!(seconds("0001-01-01"), Some(-62_135_596_800));
        assert_eq!(seconds("2024-05-01T00:00:00-00:00:30"), seconds("2024-05-01T00:00:30z"));
    }

    #[test]
    fn days_follow_each_other() {
        let mut expected = days_since_1970(1, 1, 1);
        for year in 1..=2400 {
            for month in 1..=12 {
                for day in 1..=days_of(year, month) {
                    assert_eq!(days_since_1970(year, month, day), expected, "{year}-{month}-{day}");
                    expected += 1;
                }
            }
        }
    }

    #[test]
    fn fractions_are_billionths() {
        let nanos = |text| Instant::parse(text).map(|instant| instant.nanos);
        assert_eq!(nanos("2024-05-01T00:00:00.5"), Some(500_000_000));
        assert_eq!(nanos("2024-05-01T00:00:00,000001Z"), Some(1000));
        assert_eq!(nanos("2024-05-01T00:00:00.1234567899+01:00"), Some(123_456_789));
        assert!(Instant::parse("2024-05-01T00:00:00.1") < Instant::parse("2024-05-01T00:00:00.11"));
    }

    #[test]
    fn other_text_is_no_date() {
        for text in [
            "",
            "2024",
            "2024-05",
            "20240501",
            "2024-5-1",
            "2024-13-01",
            "2024-00-01",
            "2024-02-30",
            "2023-02-29",
            "1900-02-29",
            "2024-05-01T",
            "2024-05-01T10",
            "2024-05-01T24:00",
            "2024-05-01T10:60",
            "2024-05-01T10:20:60",
            "2024-05-01T10:20:30.",
            "2024-05-01T10:20Zx",
            "2024-05-01T10:20+2",
            "2024-05-01T10:20+020",
            "2024-05-01T10:20+02:",
            "2024-05-01T10:20+02000",
            "2024-05-01+02",
            "2024-05-01 ",
            " 2024-05-01",
            "-2024-05-01",
            "2024-05-0\u{661}",
            "２024-05-01",
            "+024-05-01",
            "2024-05-01x10:20",
        ] {
            assert_eq!(Instant::parse(text), None, "{text}");
        }
    }
}
