//! The peers: how each is started, and how it is spoken to.

mod floor;
mod garage;
pub(crate) mod halidom;
pub(crate) mod nginx;
mod seaweed;

use std::path::{Path, PathBuf};

use crate::Options;
use crate::peer::Peer;

/// A peer that can be started.
pub(crate) enum Kind {
    Floor { digests: bool },
    Halidom,
    SeaweedFs { program: PathBuf, fsync: bool },
    Garage { program: PathBuf, fsync: bool },
    Nginx { program: PathBuf },
}

impl Kind {
    /// Those that take uploads.
    pub(crate) fn uploading(options: &Options) -> Vec<Self> {
        let mut all = vec![Self::Floor { digests: false }, Self::Floor { digests: true }, Self::Halidom];
        all.extend(options.weed.iter().flat_map(|weed| [true, false].map(|fsync| Self::SeaweedFs { program: weed.clone(), fsync })));
        all.extend(options.garage.iter().flat_map(|garage| [true, false].map(|fsync| Self::Garage { program: garage.clone(), fsync })));
        all.extend(options.nginx.clone().map(|program| Self::Nginx { program }));
        all
    }

    /// Those whose downloads are compared.
    pub(crate) fn downloading(options: &Options) -> Vec<Self> {
        let mut all = vec![Self::Halidom];
        all.extend(options.nginx.clone().map(|program| Self::Nginx { program }));
        all
    }

    /// Starts it with its data below `dir`; answers when it is ready.
    pub(crate) async fn start(&self, dir: &Path) -> anyhow::Result<Box<dyn Peer>> {
        Ok(match self {
            Self::Floor { digests } => Box::new(floor::Floor::start(dir, *digests).await?),
            Self::Halidom => Box::new(halidom::Halidom::start(dir).await?),
            Self::SeaweedFs { program, fsync } => Box::new(seaweed::SeaweedFs::start(dir, program, *fsync).await?),
            Self::Garage { program, fsync } => Box::new(garage::Garage::start(dir, program, *fsync).await?),
            Self::Nginx { program } => Box::new(nginx::Nginx::start(dir, program).await?),
        })
    }
}
