//! Followed devices, read afresh, against what was told and claimed of them: for `verify`.

use anyhow::{Result, anyhow};

use super::Control;
use crate::{
    control::{
        follow::{Change, Compared},
        protocol::Differing,
    },
    tables::BridgeIx,
};

/// How often a device is compared whose rows change meanwhile.
const COMPARISONS: usize = 3;

impl Control {
    /// For `verify`: what each followed device has, read afresh, against the claims.
    pub(in crate::control) fn followed_differences(&mut self) -> Vec<Differing> {
        let bridges: Vec<_> = self.followings.each.keys().copied().collect();
        let mut differences = Vec::new();
        for bridge in bridges {
            let Some(following) = self.followings.each.get(&bridge) else { continue };
            let device = following.plan.device.clone();
            let differing = |kind: &str, found: String| Differing {
                kind: kind.into(),
                what: format!("device {device}"),
                wanted: "followed".into(),
                found,
                repaired: None,
            };
            match self.compare_followed(bridge) {
                Ok((found, left)) => {
                    differences.extend(found.into_iter().map(|found| differing("follow", found)));
                    differences.extend(left.iter().map(|c| differing("follow", c.to_string())));
                    let parted = self.parted_rows(bridge);
                    let unclaimed = |row: &Change| differing("follow", format!("{row}, unclaimed"));
                    differences.extend(parted.iter().map(unclaimed));
                }
                Err(error) => differences.push(differing("follow", format!("{error:#}"))),
            }
        }
        differences
    }

    /// What a followed device has against what was told of it, and against what was taken.
    fn compare_followed(&mut self, bridge: BridgeIx) -> Result<(Vec<String>, Vec<Change>)> {
        let mut left = Vec::new();
        for _ in 0..COMPARISONS {
            let gone = || anyhow!("it is not followed any more");
            let following = self.followings.each.get(&bridge).ok_or_else(gone)?;
            let Compared { table, differences } = following.follower.compare()?;
            // Everything up to the comparison has been told: nothing of it is a difference.
            self.hear_followers();
            let following = self.followings.each.get(&bridge).ok_or_else(gone)?;
            left = following.told.changes_to(&table);
            if left.is_empty() || !differences.is_empty() {
                return Ok((differences, left));
            }
            // Something may have been told since it was compared.
        }
        Ok((Vec::new(), left))
    }
}
