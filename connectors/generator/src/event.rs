//! An event of the shop.

use millstream_stage::time::Time;

use crate::chance::{Draw, For, scatter};
use crate::shape::Shape;

/// What a user did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Behavior {
    /// Looked at a page.
    Pv,
    /// Put into the cart.
    Cart,
    /// Added to the favourites.
    Fav,
    /// Bought.
    Buy,
}

impl Behavior {
    /// As events say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pv => "pv",
            Self::Cart => "cart",
            Self::Fav => "fav",
            Self::Buy => "buy",
        }
    }

    // pv 89.2 %, cart 5.5 %, fav 3.1 %, buy 2.2 % (rounded from 2.3 so that it adds up)
    fn draw(unit: f64) -> Self {
        match unit {
            unit if unit < 0.892 => Self::Pv,
            unit if unit < 0.947 => Self::Cart,
            unit if unit < 0.978 => Self::Fav,
            _ => Self::Buy,
        }
    }
}

/// An event of the shop. What belongs to a user (device, region, address) or to an item (category, price) is
/// the same in all events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShopEvent {
    /// The part of the traffic that it belongs to, and its position there: together they name it.
    pub id: (u16, u64),
    /// The user.
    pub user_id: u64,
    /// The item.
    pub item_id: u64,
    /// The item's category.
    pub category_id: u64,
    /// What the user did.
    pub behavior: Behavior,
    /// The event's time, in epoch milliseconds.
    pub timestamp: Time,
    /// The kind of page.
    pub page: &'static str,
    /// The kind of device.
    pub device: &'static str,
    /// The region of the user.
    pub region: &'static str,
    /// The last three parts of the address 10.x.y.z.
    pub ip: [u8; 3],
    /// The user's half hour.
    pub session_id: u32,
    /// The item's price in hundredths.
    pub price: u32,
}

impl ShopEvent {
    /// The event of a draw. `hot`: the rank of the user, where that is already decided.
    pub(crate) fn draw(
        shape: &Shape,
        draw: &Draw,
        id: (u16, u64),
        timestamp: Time,
        hot: Option<u64>,
    ) -> Self {
        let unit = draw.unit(For::User);
        let user_id = hot.map_or_else(|| shape.user(unit), |rank| shape.user_of_rank(rank));
        let item_id = shape.item(draw.unit(For::Item));
        let behavior = Behavior::draw(draw.unit(For::Behavior));
        let of_user = scatter(user_id);
        let half_hour = timestamp.div_euclid(30 * 60 * 1000) as u64;
        Self {
            id,
            user_id,
            item_id,
            category_id: shape.category_of(item_id),
            behavior,
            timestamp,
            page: page(behavior, draw.unit(For::Page)),
            device: weighted(&DEVICES, of_user as u8),
            region: weighted(&REGIONS, (of_user >> 8) as u8),
            ip: [(of_user >> 16) as u8, (of_user >> 24) as u8, (of_user >> 32) as u8],
            session_id: scatter(user_id ^ half_hour << 32) as u32,
            price: 100 + (scatter(item_id ^ 0x5eed) % 99_900) as u32,
        }
    }
}

fn page(behavior: Behavior, unit: f64) -> &'static str {
    match behavior {
        Behavior::Pv if unit < 0.15 => "home",
        Behavior::Pv if unit < 0.35 => "search",
        Behavior::Pv if unit < 0.55 => "list",
        Behavior::Buy => "cart",
        Behavior::Pv | Behavior::Cart | Behavior::Fav => "detail",
    }
}

// Each with the first byte value that is no longer its own.
const DEVICES: [(&str, u16); 4] = [("android", 150), ("ios", 225), ("pc", 248), ("pad", 256)];
const REGIONS: [(&str, u16); 10] = [
    ("guangdong", 46),
    ("zhejiang", 84),
    ("jiangsu", 119),
    ("shandong", 145),
    ("shanghai", 169),
    ("beijing", 190),
    ("sichuan", 209),
    ("henan", 227),
    ("hubei", 243),
    ("fujian", 256),
];

fn weighted(choices: &[(&'static str, u16)], byte: u8) -> &'static str {
    let choice = choices.iter().find(|(_, end)| u16::from(byte) < *end);
    choice.map_or("", |(name, _)| name)
}
