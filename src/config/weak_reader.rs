//! Users who read weakly.

use std::fmt;

/// Users in one list.
const USERS_MAX: usize = 1_024;

/// One user of `weak_read_user_list`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WeakReader {
    /// User without tenant; `*`: every user of it.
    pub user: Box<str>,
    /// Tenant; case matters.
    pub tenant: Box<str>,
}

impl WeakReader {
    /// Reads a list of `user@tenant` items.
    ///
    /// # Errors
    /// What is wrong, to be put behind the value.
    pub(super) fn list(text: &str) -> Result<Vec<Self>, String> {
        let items = text.split(';').map(str::trim).filter(|i| !i.is_empty());
        let read = |item: &str| {
            let is_name = |name: &str| !name.is_empty() && !name.contains('#');
            let parts = item.rsplit_once('@');
            let parts = parts.filter(|(user, tenant)| is_name(user) && is_name(tenant));
            let (user, tenant) =
                parts.ok_or_else(|| format!("has {item:?}, which is not user@tenant"))?;
            let (user, tenant) = (user.into(), tenant.into());
            Ok(Self { user, tenant })
        };
        let list: Vec<_> = items.map(read).collect::<Result<_, String>>()?;
        match list.len() > USERS_MAX {
            true => Err(format!("has more than {USERS_MAX} users")),
            false => Ok(list),
        }
    }
}

impl fmt::Display for WeakReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.tenant)
    }
}
