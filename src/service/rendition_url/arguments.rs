//! The arguments of one option, apart by colons; each may be left out.

use super::UrlError;

/// What follows the name of an option.
#[derive(Clone, Copy)]
pub(super) struct Arguments<'a> {
    option: &'a str,
    rest: Option<&'a str>,
}

impl<'a> Arguments<'a> {
    /// `arguments` is what follows the option's name and a colon.
    pub(super) fn of(option: &'a str, arguments: &'a str) -> Self {
        Self { option, rest: Some(arguments) }
    }

    /// The next argument; `None` where it is left out.
    pub(super) fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest?;
        let (argument, rest) = rest.split_once(':').map_or((rest, None), |(argument, rest)| (argument, Some(rest)));
        self.rest = rest;
        (!argument.is_empty()).then_some(argument)
    }

    pub(super) fn number<T: TryFrom<u64> + Into<u64>>(&mut self, expected: &'static str, max: T) -> Result<Option<T>, UrlError> {
        let max: u64 = max.into();
        let Some(text) = self.next() else { return Ok(None) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let value =
            digits.then(|| text.parse::<u64>().ok()).flatten().filter(|value| *value <= max).and_then(|value| value.try_into().ok());
        value.map(Some).ok_or_else(|| self.bad(text, expected))
    }

    pub(super) fn flag(&mut self) -> Result<Option<bool>, UrlError> {
        match self.next() {
            None => Ok(None),
            Some("1" | "t" | "true") => Ok(Some(true)),
            Some("0" | "f" | "false") => Ok(Some(false)),
            Some(other) => Err(self.bad(other, "1 or 0")),
        }
    }

    /// What is so anyway.
    pub(super) fn always(&mut self, expected: &'static str) -> Result<(), UrlError> {
        match self.flag()? {
            Some(false) => Err(self.bad("0", expected)),
            Some(true) | None => Ok(()),
        }
    }

    /// A whole number that may be below zero.
    pub(super) fn whole(&mut self, expected: &'static str) -> Result<Option<i32>, UrlError> {
        let Some(text) = self.next() else { return Ok(None) };
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().ok()).flatten().map(Some).ok_or_else(|| self.bad(text, expected))
    }

    /// A decimal number of at most so many digits after the point, which gives its smallest unit, and at most `max` of these.
    pub(super) fn decimal(&mut self, digits_after: usize, max: u64, expected: &'static str) -> Result<Option<u64>, UrlError> {
        let Some(text) = self.next() else { return Ok(None) };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str, most| text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_number = digits(whole, 9) && digits(fraction, digits_after) && text != ".";
        let units = is_number.then(|| format!("{whole:0>1}{fraction:0<digits_after$}").parse::<u64>().ok()).flatten();
        units.filter(|units| *units <= max).map(Some).ok_or_else(|| self.bad(text, expected))
    }

    /// Demands that nothing is left.
    pub(super) fn end(&self) -> Result<(), UrlError> {
        match self.rest {
            None => Ok(()),
            Some(rest) if rest.bytes().all(|byte| byte == b':') => Ok(()),
            Some(rest) => Err(self.bad(rest, "fewer arguments")),
        }
    }

    pub(super) fn bad(&self, value: &str, expected: &'static str) -> UrlError {
        UrlError::BadValue { option: self.option.to_owned(), value: value.to_owned(), expected }
    }
}
