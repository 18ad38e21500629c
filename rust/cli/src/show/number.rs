//! How numbers are written for a person.

/// A number with separators: `196608` becomes `196,608`.
#[must_use]
pub fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let (whole, part) = digits.split_once('.').map_or((digits, ""), |(w, p)| (w, p));
    let mut text = String::from(sign);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if !part.is_empty() {
        text.push('.');
        text.push_str(part);
    }
    text
}

/// A whole number with separators.
#[must_use]
pub fn count(number: impl std::fmt::Display) -> String {
    grouped(&number.to_string())
}

/// Microseconds with three figures or more; no clock here is finer.
#[must_use]
pub fn micros(number: f64) -> String {
    if number >= 100.0 {
        grouped(&format!("{number:.0}"))
    } else if number >= 10.0 {
        format!("{number:.1}")
    } else {
        format!("{number:.2}")
    }
}

/// Thousandths as a percentage with one decimal.
#[must_use]
pub fn percent(permille: f64) -> String {
    format!("{:.1}", permille / 10.0)
}

/// `1st`, `22nd`, `113th`.
#[must_use]
pub fn ordinal(number: u32) -> String {
    let ending = match (number % 10, number % 100) {
        (1, ten) if ten != 11 => "st",
        (2, ten) if ten != 12 => "nd",
        (3, ten) if ten != 13 => "rd",
        _ => "th",
    };
    format!("{}{ending}", count(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_a_person_writes_them() {
        assert_eq!(
            ["0", "999", "1000", "-1234567", "1234.5"].map(grouped),
            ["0", "999", "1,000", "-1,234,567", "1,234.5"]
        );
        assert_eq!([0.5, 12.34, 1234.5].map(micros), ["0.50", "12.3", "1,234"]);
        assert_eq!(
            [1, 2, 3, 4, 11, 12, 13, 21, 25, 103, 1112].map(ordinal),
            [
                "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "25th", "103rd",
                "1,112th"
            ]
        );
    }
}
