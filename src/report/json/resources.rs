//! The resources of the JSON report: state at the end of the run, as on the resources page of the screen.

use serde::Serialize;

use crate::insight::{ResourceUsage, TaskSample, UsageLimits};
use crate::trace::{Nanos, ResourceId, ResourceKind, TaskId, Trace};

/// A resource that tasks share, at the end of the run.
#[derive(Debug, Serialize)]
pub(super) struct ResourceJson<'a> {
    /// Resource id, starting at 1.
    id: u32,
    /// Kind, such as `lock` or `semaphore`.
    kind: &'static str,
    /// Name in the program. In an external app, the name of its type.
    name: &'a str,
    /// Number among the resources of its name in an external app, as in `Mutex #2`. Omitted for workloads.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u32>,
    /// Where it was created.
    location: Option<String>,
    /// When it was dropped. Omitted if it exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped_ns: Option<Nanos>,
    /// The only owner of a lock. Omitted if there is none, or if it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<u32>,
    /// `true` if the owner was inferred: the task whose lock call completed last. Omitted if the program reported it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    owner_inferred: bool,
    /// Tasks that each own a part: permits of a semaphore, or read access to a lock. Omitted if none is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    owners: Vec<u32>,
    /// Tasks with an open await of this resource.
    waiters: Vec<u32>,
}

/// Returns the first `limit` resources, each with its first `limit` owners and waiters, and whether there are more.
pub(super) fn resources_json(trace: &Trace, limit: usize) -> (Vec<ResourceJson<'_>>, bool) {
    let usage = ResourceUsage::of(trace, UsageLimits { tasks: limit, dropped: limit });
    let is_cut = |tasks: Option<&TaskSample>| tasks.is_some_and(|tasks| tasks.count > tasks.first.len());
    let listed = usage.listed.iter().take(limit);
    let has_more = usage.listed.len() > limit
        || usage.unlisted > 0
        || listed.clone().any(|id| is_cut(usage.holders(*id)) || is_cut(usage.waiters(*id)));
    let resources = listed.filter_map(|id| resource_json(trace, &usage, *id));
    (resources.collect(), has_more)
}

fn resource_json<'a>(trace: &'a Trace, usage: &ResourceUsage, id: ResourceId) -> Option<ResourceJson<'a>> {
    let numbers = |tasks: Option<&TaskSample>| -> Vec<u32> {
        tasks.map_or_else(Vec::new, |tasks| tasks.first.iter().copied().map(TaskId::number).collect())
    };
    let entry = trace.resources().entry(id)?;
    let resource = &entry.resource;
    let mut owners = numbers(usage.holders(id));
    let has_one_owner = matches!(resource.kind, ResourceKind::Lock | ResourceKind::Actor) && owners.len() == 1;
    Some(ResourceJson {
        id: id.number(),
        kind: resource.kind.name(),
        name: &resource.name,
        number: usage.number(id),
        location: resource.location.as_ref().map(ToString::to_string),
        dropped_ns: entry.dropped_at(),
        owner_inferred: has_one_owner && !trace.are_owners_reported(),
        owner: if has_one_owner { owners.pop() } else { None },
        owners,
        waiters: numbers(usage.waiters(id)),
    })
}
