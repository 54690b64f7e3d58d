//! What browsers send as cookies that relays sealed.

use postern_model::ids::{AppId, TenantId};
use postern_model::secret::SecretText;
use postern_model::session::{CookieKey, CookieSealer};

/// A cookie's value: it opens as one kind and for one application at most, and there is no other text for what it says.
pub(crate) fn sealed(data: &[u8]) {
    let keys = KEYS.map(|(id, secret)| CookieKey {
        id,
        secret: SecretText::new(secret.repeat(32)),
        created_unix: u64::from(id),
    });
    let Ok(sealer) = CookieSealer::new(&keys) else { unreachable!("both are keys") };
    let opens =
        |text: &[u8], app: AppId| (sealer.open_session(text, app).is_some(), sealer.open_flow(text, app).is_some());
    let mut opened =
        APPS.into_iter().map(|app| (app, opens(data, app))).filter(|(_, as_what)| *as_what != (false, false));
    let Some((app, as_what)) = opened.next() else { return };
    assert_ne!(as_what, (true, true), "it is of two kinds");
    assert_eq!(opened.next(), None, "it opens for {app}, too");
    let mut changed = data.to_vec();
    for at in (0..data.len()).step_by(1 + data.len() / CHANGES_MAX) {
        for bit in [0x01, 0x20] {
            changed[at] ^= bit;
            assert_eq!(opens(&changed, app), (false, false), "another text opens, byte {at}");
            changed[at] ^= bit;
        }
    }
    for cut in [0, 1, data.len() - 1] {
        assert_eq!(opens(&data[..cut], app), (false, false), "{cut} bytes of it open");
    }
}

/// Neighbours, and two with tenant and number exchanged.
const APPS: [AppId; 3] = [AppId::new(TenantId(1), 7), AppId::new(TenantId(1), 8), AppId::new(TenantId(7), 1)];
/// Numbers, and a byte of each in hex.
const KEYS: [(u32, &str); 2] = [(1, "a1"), (2, "b2")];
const CHANGES_MAX: usize = 512;
