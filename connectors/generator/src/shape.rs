//! How the events of a shop are spread over users, items and categories, fitted to a published record of
//! 110,300 events of one morning of Taobao: 66,454 users (the top 1 % have 5 % of the events), 84,793 items
//! (6.4 %), 3,913 categories (49 %; the top 10 % have 81 %).

use crate::chance::scatter;
use crate::config::GeneratorOptions;

/// Draws ranks from 0 (the most frequent) to `population - 1` by a power law whose head is flattened, mixed
/// with a little of another.
#[derive(Clone, Debug)]
struct Skew {
    population: f64,
    // Density at rank r: (r + shift)^(power - 1).
    shift: f64,
    power: f64,
    low: f64,
    span: f64,
    extra: Extra,
}

#[derive(Clone, Copy, Debug)]
enum Extra {
    None,
    // Share of draws that go to the first thousand, evenly by the logarithm of the rank: what everybody looks
    // at today.
    Stars(f64),
    // Share of draws that go anywhere.
    Even(f64),
}

impl Skew {
    fn new(population: u64, fitted_population: f64, fitted_shift: f64, power: f64, extra: Extra) -> Self {
        let population = population as f64;
        let shift = fitted_shift * population / fitted_population;
        let low = libm::pow(shift, power);
        let span = libm::pow(population + shift, power) - low;
        Self { population, shift, power, low, span, extra }
    }

    fn rank(&self, unit: f64) -> u64 {
        let rank = match self.extra {
            Extra::Stars(share) if unit < share => libm::pow(self.population.min(1000.0), unit / share) - 1.0,
            Extra::Even(share) if unit < share => unit / share * self.population,
            Extra::Stars(share) | Extra::Even(share) => self.by_law((unit - share) / (1.0 - share)),
            Extra::None => self.by_law(unit),
        };
        (rank.max(0.0) as u64).min(self.population as u64 - 1)
    }

    fn by_law(&self, unit: f64) -> f64 {
        libm::pow(self.low + unit * self.span, 1.0 / self.power) - self.shift
    }
}

/// The shop's users, items and categories.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    users: Skew,
    items: Skew,
    categories: Skew,
}

impl Shape {
    pub(crate) fn new(options: &GeneratorOptions) -> Self {
        Self {
            users: Skew::new(options.users, 165_700.0, 2886.0, 0.1686, Extra::None),
            items: Skew::new(options.items, 3_790_000.0, 2486.0, -0.028, Extra::Stars(0.0079)),
            categories: Skew::new(options.categories, 3980.0, 8.0, -0.376, Extra::Even(0.088)),
        }
    }

    /// A user's id; `unit` is at least 0 and less than 1.
    pub(crate) fn user(&self, unit: f64) -> u64 {
        id(self.users.rank(unit), self.users.population)
    }

    /// The id of the user with this rank.
    pub(crate) fn user_of_rank(&self, rank: u64) -> u64 {
        id(rank, self.users.population)
    }

    /// An item's id.
    pub(crate) fn item(&self, unit: f64) -> u64 {
        id(self.items.rank(unit), self.items.population)
    }

    /// The category that an item is in.
    pub(crate) fn category_of(&self, item: u64) -> u64 {
        let unit = (scatter(item) >> 11) as f64 / (1_u64 << 53) as f64;
        1_000_000 + id(self.categories.rank(unit), self.categories.population)
    }
}

// Ids from 1 up that do not show the rank. The factor is a prime above every population: no two ranks meet.
fn id(rank: u64, population: f64) -> u64 {
    rank * 2_654_435_761 % population as u64 + 1
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ranks_cover_the_population_and_ids_are_different() {
        let shape = Shape::new(&GeneratorOptions { users: 1000, ..GeneratorOptions::default() });
        assert_eq!(shape.users.rank(0.0), 0);
        assert_eq!(shape.users.rank(1.0 - f64::EPSILON), 999);
        let ids: HashSet<_> = (0..1000).map(|rank| shape.user_of_rank(rank)).collect();
        assert_eq!((ids.len(), ids.iter().min(), ids.iter().max()), (1000, Some(&1), Some(&1000)));
    }

    #[test]
    fn a_single_user_is_a_population() {
        let options = GeneratorOptions { users: 1, items: 1, categories: 1, ..GeneratorOptions::default() };
        let shape = Shape::new(&options);
        assert_eq!((shape.user(0.5), shape.item(0.999), shape.category_of(1)), (1, 1, 1_000_001));
    }
}
