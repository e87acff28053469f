//! A plan as text and as a graph for Graphviz.

use std::fmt::Write;

use millstream_stage::plan::{Exchange, Plan, StageId};

/// Stages, their operators and where their results go, one line each.
pub fn as_text(plan: &Plan) -> String {
    let mut text = format!("job {} ({} key groups)\n", plan.name, plan.key_groups);
    for (id, stage) in (0..).zip(&plan.stages) {
        let _ = writeln!(text, "\nstage {id}, parallelism {}", stage.parallelism);
        for (_, edge) in plan.inputs(id) {
            let _ = writeln!(text, "  <- stage {} by {}", edge.from, exchange(edge.exchange));
        }
        for operator in &stage.operators {
            let after = operator.after.as_deref().map(|after| format!(", after {after}")).unwrap_or_default();
            let _ = writeln!(text, "  {} ({}{after})", operator.name, operator.kind);
            for state in &operator.states {
                let _ = writeln!(text, "    {state}");
            }
        }
    }
    for warning in plan.warnings() {
        let _ = writeln!(text, "\nwarning: {warning}");
    }
    text
}

/// The same for `dot -Tsvg`.
pub fn as_dot(plan: &Plan) -> String {
    let mut dot =
        format!("digraph {:?} {{\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n", plan.name);
    for (id, stage) in (0..).zip(&plan.stages) {
        let _ =
            writeln!(dot, "  subgraph cluster_{id} {{\n    label=\"stage {id} x {}\";", stage.parallelism);
        let _ = writeln!(dot, "    head_{id} [shape=point, label=\"\"];");
        for operator in &stage.operators {
            let _ =
                writeln!(dot, "    {:?} [label=\"{}\\n{}\"];", operator.name, operator.name, operator.kind);
            match &operator.after {
                Some(after) => drop(writeln!(dot, "    {after:?} -> {:?};", operator.name)),
                None => drop(writeln!(dot, "    head_{id} -> {:?};", operator.name)),
            }
        }
        dot.push_str("  }\n");
    }
    for edge in &plan.edges {
        let from = last_operator(plan, edge.from);
        let _ = writeln!(dot, "  {from} -> head_{} [label=\"{}\"];", edge.to, exchange(edge.exchange));
    }
    dot.push_str("}\n");
    dot
}

fn last_operator(plan: &Plan, stage: StageId) -> String {
    let operators = &plan.stages[stage as usize].operators;
    operators.last().map_or_else(|| format!("head_{stage}"), |operator| format!("{:?}", operator.name))
}

fn exchange(exchange: Exchange) -> &'static str {
    match exchange {
        Exchange::Hash => "key",
        Exchange::Forward => "forward",
        Exchange::Rebalance => "rebalance",
    }
}
