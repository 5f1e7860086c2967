//! The decision where a point select goes costs no allocation.
#![allow(missing_docs, reason = "a test")]

#[path = "machine/routed.rs"]
mod routed;

#[test]
fn a_point_select_is_routed_without_memory() {
    let core = routed::Core::new();
    for is_weak in [false, true] {
        let counted = allocation_counter::measure(|| {
            core.route(is_weak, 100);
        });
        assert_eq!(counted.count_total, 0, "weak: {is_weak}");
    }
}
