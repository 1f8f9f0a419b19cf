//! The shop whose traffic this is: its APIs, what can be asked of them, and where people are.

use std::net::Ipv4Addr;

use crate::random::mix;

/// One of [`APIS`].
pub type ApiNumber = u8;

/// An API, as the policy of the laboratory declares it.
#[derive(Clone, Copy, Debug)]
pub struct Api {
    /// Its name.
    pub name: &'static str,
    /// TCP port.
    pub port: u16,
    /// What of the policy is its own.
    about: &'static str,
}

/// People log in here.
pub const ACCOUNTS: ApiNumber = 0;
/// What anyone may look at.
pub const CATALOGUE: ApiNumber = 1;
/// What belongs to somebody.
pub const ORDERS: ApiNumber = 2;
/// Programs of the shop itself.
pub const BATCH: ApiNumber = 3;

/// Every API.
pub const APIS: [Api; 4] = [
    Api {
        name: "accounts",
        port: 8081,
        about: "criticality = \"high\"\n\
                login = { routes = [\"POST /login\"], failed = [401] }",
    },
    Api { name: "catalogue", port: 8082, about: "crawlers = [\"search\"]" },
    Api { name: "orders", port: 8083, about: "criticality = \"high\"" },
    Api { name: "batch", port: 8084, about: "criticality = \"low\"" },
];

/// The policy of the laboratory: four APIs, one of them with logins, a crawler that is known, and
/// everything else as weir has it when nobody says otherwise.
pub fn policy() -> String {
    let mut text = format!(
        "[policy]\nname = \"lab\"\nversion = 1\n\n[groups.search]\ncidrs = [\"{CRAWLER}/32\"]\n"
    );
    for Api { name, port, about } in APIS {
        text += &format!(
            "\n[[api]]\nname = \"{name}\"\nlisten = [\"tcp/{port}\"]\nallow = \"any\"\n{about}\n"
        );
    }
    text
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ask {
    /// A password is tried.
    Login,
    /// An application renews its token.
    Token,
    /// Who am I.
    Me,
    /// A page of the catalogue.
    Category,
    /// Another.
    Product,
    /// A picture of it.
    Image,
    /// A search; the query is never recorded.
    Search,
    /// What others say of a product: a route that a release brings.
    Reviews,
    /// One's orders.
    Orders,
    /// One of them.
    Order,
    /// A new one.
    Place,
    /// A customer, for the shop's staff.
    Customer,
    /// An invoice.
    Invoice,
    /// What is new, for partners.
    Changes,
    /// Deliveries of data.
    Import,
    /// A day's export.
    Export,
    /// A part of the nightly copy.
    Part,
    /// Whether the API lives.
    Health,
    /// What every browser asks for.
    Icon,
    /// A path that somebody hopes for.
    Word,
}

/// What stands for the braces of a path.
#[derive(Clone, Copy, Debug)]
enum Fill {
    Nothing,
    Number,
    Uuid,
    Date,
    Category,
    Word,
}

struct Endpoint {
    method: &'static str,
    before: &'static str,
    fill: Fill,
    after: &'static str,
    /// Medians: latency in ms, bytes of an answer with 200.
    millis: f64,
    bytes: f64,
}

const fn get(before: &'static str, fill: Fill, millis: f64, bytes: f64) -> Endpoint {
    Endpoint { method: "GET", before, fill, after: "", millis, bytes }
}

const fn post(before: &'static str, millis: f64) -> Endpoint {
    Endpoint { method: "POST", before, fill: Fill::Nothing, after: "", millis, bytes: 0.0 }
}

/// As [`Ask`].
const ENDPOINTS: [Endpoint; 20] = [
    post("/login", 120.0),
    post("/token", 30.0),
    get("/me", Fill::Nothing, 12.0, 600.0),
    get("/categories/", Fill::Category, 18.0, 14_000.0),
    get("/products/", Fill::Number, 15.0, 6_000.0),
    get("/images/", Fill::Number, 6.0, 24_000.0),
    get("/search", Fill::Nothing, 60.0, 9_000.0),
    Endpoint { after: "/reviews", ..get("/products/", Fill::Number, 25.0, 4_000.0) },
    get("/orders", Fill::Nothing, 30.0, 5_000.0),
    get("/orders/", Fill::Number, 22.0, 2_000.0),
    post("/orders", 90.0),
    get("/customers/", Fill::Number, 20.0, 1_500.0),
    get("/invoices/", Fill::Uuid, 35.0, 20_000.0),
    get("/changes", Fill::Nothing, 15.0, 1_200.0),
    post("/import", 200.0),
    get("/exports/", Fill::Date, 400.0, 200_000.0),
    get("/parts/", Fill::Number, 250.0, 1_000_000.0),
    get("/healthz", Fill::Nothing, 1.0, 64.0),
    get("/favicon.ico", Fill::Nothing, 2.0, 1_000.0),
    get("/", Fill::Word, 3.0, 1_000.0),
];

const CATEGORIES: [&str; 12] = [
    "books", "music", "garden", "kitchen", "toys", "shoes", "lamps", "tools", "games", "travel",
    "sports", "paper",
];

const WORDS: [&str; 24] = [
    ".env",
    ".git/config",
    "wp-login.php",
    "phpmyadmin",
    "admin",
    "backup",
    "config.php",
    "server-status",
    "actuator/env",
    "console",
    "debug",
    "graphql",
    "swagger.json",
    "api-docs",
    "test",
    "old",
    "dump.sql",
    "db.sqlite",
    "id_rsa",
    "logs",
    "metrics",
    "private",
    "uploads",
    "xmlrpc.php",
];

const ENDINGS: [&str; 6] = ["", ".bak", ".old", ".zip", "~", ".txt"];

impl Ask {
    fn endpoint(self) -> &'static Endpoint {
        &ENDPOINTS[self as usize]
    }

    /// The method.
    pub fn method(self) -> &'static str {
        self.endpoint().method
    }

    /// The path; `value` is what is asked for.
    pub fn path(self, value: u64) -> String {
        let Endpoint { before, fill, after, .. } = self.endpoint();
        match fill {
            Fill::Nothing => format!("{before}{after}"),
            Fill::Number => format!("{before}{value}{after}"),
            Fill::Uuid => {
                let (high, low) = (mix(value), mix(!value));
                format!(
                    "{before}{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
                    high >> 32,
                    high >> 16 & 0xffff,
                    high & 0xfff,
                    low >> 52,
                    low & 0xffff_ffff_ffff
                )
            }
            Fill::Date => format!("{before}2026-{:02}-{:02}", value / 28 % 12 + 1, value % 28 + 1),
            Fill::Category => format!("{before}{}", pick(&CATEGORIES, value)),
            Fill::Word => {
                let ending = pick(&ENDINGS, value / WORDS.len() as u64);
                format!("{before}{}{ending}", pick(&WORDS, value))
            }
        }
    }

    /// Median of latency, ms, and of the bytes of an answer with 200.
    pub fn medians(self) -> (f64, f64) {
        (self.endpoint().millis, self.endpoint().bytes)
    }
}

fn pick<'a>(of: &[&'a str], number: u64) -> &'a str {
    of[(number % of.len() as u64) as usize]
}

/// Where the crawler is that the policy knows.
pub const CRAWLER: Ipv4Addr = Ipv4Addr::new(198, 19, 253, 1);
/// The address that an office has.
pub const OFFICE: Ipv4Addr = Ipv4Addr::new(198, 19, 250, 1);
/// Where programs of the shop are.
pub const JOBS: Ipv4Addr = Ipv4Addr::new(198, 19, 254, 1);

/// A partner's address.
pub const fn partner(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 19, 251, number)
}

/// Who looks whether the APIs live.
pub const fn monitor(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 19, 252, number)
}

/// The address of somebody's home (RFC 2544 sets these networks aside for such laboratories); one of
/// five is behind an address that others have too.
pub fn home(person: u32) -> Ipv4Addr {
    match person % 5 {
        0 => Ipv4Addr::from_bits(0xc613_f000 + person / 5 % 60),
        _ => Ipv4Addr::from_bits(0xc612_0000 + 256 + person % 60_000),
    }
}

/// Addresses of strangers begin here.
pub const STRANGERS: u32 = 0xc613_0001;
/// And those from a country that the shop has never seen, here.
const FAR: u32 = 0xc613_b000;

/// An address in a country that the shop has never seen.
pub fn far(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(FAR + number % 4096)
}

/// Country and autonomous system of an address: there is no database of these networks, so this is
/// what one would say.
pub fn origin(address: Ipv4Addr) -> (&'static str, u32) {
    let bits = address.to_bits();
    if (FAR..FAR + 4096).contains(&bits) {
        return ("XK", 64_999);
    }
    match mix(u64::from(bits)) % 1000 {
        0..700 => ("DE", 64_500),
        700..820 => ("AT", 64_501),
        820..920 => ("CH", 64_502),
        920..960 => ("NL", 64_503),
        960..985 => ("FR", 64_504),
        _ => ("US", 64_505),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (ask, value, expected) in [
            (Ask::Login, 3, "POST /login"),
            (Ask::Product, 17, "GET /products/17"),
            (Ask::Reviews, 17, "GET /products/17/reviews"),
            (Ask::Category, 13, "GET /categories/music"),
            (Ask::Export, 30, "GET /exports/2026-02-03"),
            (Ask::Word, 0, "GET /.env"),
            (Ask::Word, 25, "GET /.git/config.bak"),
        ] {
            assert_eq!(format!("{} {}", ask.method(), ask.path(value)), expected);
        }
        assert_eq!(Ask::Invoice.path(1).len(), "/invoices/".len() + 36);
        assert!(policy().contains("crawlers"));
    }
}
