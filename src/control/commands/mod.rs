//! Clients' commands: reads are answered at once, changes when they are saved.
//!
//! Every change goes through [`Control::perform`], also those that the state file brings back.
//! Invariant: a command that is refused has changed nothing.

mod addresses;
mod macs;
mod objects;

use anyhow::{Context, Result, bail};
use serde_json::{Value, to_value};

use crate::{
    control::{
        Control,
        protocol::{BatchDone, Command, Done, EndpointRequest, NetworkRequest, Refused},
        server::{Answer, Asked},
        state::Change,
    },
    profile::NetworkPlan,
    tables::BridgeIx,
};

impl Control {
    /// Does what a client asks and answers it, as soon as what has changed is saved.
    pub(super) fn serve(&mut self, asked: Asked) {
        let Asked { command, reply, subscriber } = asked;
        if let Some(subscriber) = subscriber {
            self.tell_row_changes();
            self.monitors.add(subscriber);
            self.log_row_changes();
            return reply.send(Ok(Answer::Ready(Value::Null)));
        }
        let answer = self.answer(&command).map_err(|error| format!("{error:#}"));
        self.tell_row_changes();
        let changes = std::mem::take(&mut self.unsaved);
        // What changed nothing may be asked for again because it could not be saved, or is being
        // saved: it is answered when that is done.
        if changes.is_empty() && (answer.is_err() || !command.changes_state()) {
            return reply.send(answer);
        }
        // A command of the same name settles what could not come back at start.
        self.unrestored.retain(|kept| {
            !changes.iter().any(|change| {
                let (Change::Put(name, _) | Change::Remove(name)) = change;
                *name == kept.name
            })
        });
        self.state.save(changes, move |saved| reply.send(saved.and(answer)));
    }

    /// Does a command that changes or mends something: its result.
    ///
    /// # Errors
    /// What, where, and what to do; nothing has changed then.
    pub(super) fn perform(&mut self, command: &Command) -> Result<Value> {
        let done = |changed| to_value(Done { changed }).context("answer");
        match command {
            Command::FdbAdd(request) => done(self.fdb_add(request, command)?),
            Command::FdbReplace(request) => done(self.fdb_replace(request, command)?),
            Command::FdbDel(request) => done(self.fdb_del(request)?),
            Command::FdbFlush(filter) => Ok(to_value(self.fdb_flush(filter)?)?),
            Command::NeighAdd(request) => done(self.neigh_add(request, command)?),
            Command::NeighReplace(request) => done(self.neigh_replace(request, command)?),
            Command::NeighDel(request) => done(self.neigh_del(request)?),
            Command::NetworkAdd(NetworkRequest { name, keys }) => {
                done(self.network_add(name, keys, command)?)
            }
            Command::NetworkDel { name } => done(self.network_del(name)?),
            Command::EndpointAdd(EndpointRequest { network, name, keys }) => {
                done(self.endpoint_add(network, name, keys, command)?)
            }
            Command::EndpointDel { network, name, peer } => {
                done(self.endpoint_del(network.as_deref(), name, peer.as_deref())?)
            }
            Command::PeerAdd { name, address } => done(self.peer_add(name, address, command)?),
            Command::PeerDel { name } => done(self.peer_del(name)?),
            Command::Reload => Ok(to_value(self.reload()?)?),
            Command::Batch { commands, force } => Ok(to_value(self.batch(commands, *force))?),
            Command::Verify { repair } => Ok(to_value(self.verify(*repair)?)?),
            other => bail!("{other:?} changes nothing"),
        }
    }

    fn batch(&mut self, commands: &[Command], force: bool) -> BatchDone {
        let mut result = BatchDone::default();
        for (index, command) in commands.iter().enumerate() {
            let outcome = match command.writes() {
                true => self.perform(command).map(|_| ()),
                false => {
                    Err(anyhow::anyhow!("only commands that change something may stand in a batch"))
                }
            };
            match outcome {
                Ok(()) => result.done += 1,
                Err(error) => {
                    result.refused.push(Refused { index, error: format!("{error:#}") });
                    if !force {
                        break;
                    }
                }
            }
        }
        result
    }

    /// The subnet that a request means.
    fn bridge_meant(&self, network: Option<&str>, vni: Option<u32>) -> Result<BridgeIx> {
        if let Some(vni) = vni {
            let bridge = self.truth.by_vni(vni).with_context(|| {
                format!("no network here has VNI {vni}: `overlane network list` shows them")
            })?;
            let name = self.truth.network(bridge).map_or("", |network| &network.plan.name);
            return match network {
                Some(wanted) if wanted != name => {
                    bail!("VNI {vni} is network {name}'s, not {wanted}'s: leave one of them out")
                }
                _ => Ok(bridge),
            };
        }
        let subnets = match network {
            Some(name) => self.truth.subnets(name).to_vec(),
            None => self.truth.networks().map(|(bridge, _)| bridge).collect(),
        };
        match (&subnets[..], network) {
            ([bridge], _) => Ok(*bridge),
            ([], Some(name)) => bail!("no network {name} here: `overlane network list` shows them"),
            ([], None) => bail!("there is no network here: `overlane network add` makes one"),
            (_, Some(name)) => bail!("network {name} has several subnets: say which by `vni N`"),
            (_, None) => bail!("there are several networks here: say which by `network NAME`"),
        }
    }

    /// # Errors
    /// A filter names a network or VNI that is not there, or that do not belong together.
    pub(super) fn check_network(&self, network: Option<&str>, vni: Option<u32>) -> Result<()> {
        match (network, vni) {
            (None, None) => Ok(()),
            (Some(name), None) if self.truth.subnets(name).len() > 1 => Ok(()),
            (network, vni) => self.bridge_meant(network, vni).map(drop),
        }
    }

    /// A change that is to survive a restart.
    pub(super) fn save(&mut self, name: String, command: &Command) {
        match to_value(command) {
            Ok(value) => self.unsaved.push(Change::Put(name, value)),
            Err(error) => tracing::error!("saving {name}: {error}"),
        }
    }

    /// A row's command with its network named, which the client may have left out: there may be
    /// more networks when it comes back.
    pub(super) fn in_full(&self, command: &Command, bridge: BridgeIx) -> Command {
        let mut command = command.clone();
        let Some(NetworkPlan { name, vni, .. }) = self.truth.network(bridge).map(|n| &n.plan)
        else {
            return command;
        };
        let named = match &mut command {
            Command::FdbAdd(row) | Command::FdbReplace(row) => {
                Some((&mut row.network, &mut row.vni))
            }
            Command::NeighAdd(row) | Command::NeighReplace(row) => {
                Some((&mut row.network, &mut row.vni))
            }
            _ => None,
        };
        if let Some(named) = named {
            (*named.0, *named.1) = (Some(name.clone()), Some(vni.number()));
        }
        command
    }

    /// A change that is not to come back after a restart.
    fn forget(&mut self, name: String) {
        self.unsaved.push(Change::Remove(name));
    }

    /// Shows a VNI in the state file's names.
    fn vni(&self, bridge: BridgeIx) -> u32 {
        self.truth.network(bridge).map_or(0, |network| network.plan.vni.number())
    }
}

impl Command {
    /// Whether it may leave something to be saved.
    fn changes_state(&self) -> bool {
        self.writes() || matches!(self, Command::Batch { .. } | Command::Reload)
    }

    /// Whether it changes something, and may stand in a batch.
    fn writes(&self) -> bool {
        matches!(
            self,
            Command::FdbAdd(_)
                | Command::FdbReplace(_)
                | Command::FdbDel(_)
                | Command::FdbFlush(_)
                | Command::NeighAdd(_)
                | Command::NeighReplace(_)
                | Command::NeighDel(_)
                | Command::NetworkAdd(_)
                | Command::NetworkDel { .. }
                | Command::EndpointAdd(_)
                | Command::EndpointDel { .. }
                | Command::PeerAdd { .. }
                | Command::PeerDel { .. }
        )
    }
}
