use super::*;

fn ours() -> Value {
    json!({ "dynamic": "strict", "properties": {
        "user_id": { "type": "keyword", "ignore_above": 8191 },
        "window_start": { "type": "date", "format": "epoch_millis" },
        "rank": { "type": "integer" },
        "shop": { "properties": { "city": { "type": "keyword" } } },
    }})
}

fn changed(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut theirs = ours();
    change(&mut theirs);
    compare(&ours(), &theirs).iter().map(ToString::to_string).collect()
}

#[test]
fn equal_mappings_do_not_differ() {
    assert_eq!(changed(|_| ()), Vec::<String>::new());
    assert_eq!(compare(&json!({}), &json!({ "properties": { "x": { "type": "text" } } })), []);
}

#[test]
fn other_types_are_named_with_both_sides() {
    let properties = |theirs: &mut Value| {
        theirs["properties"]["user_id"] = json!({ "type": "text" });
        theirs["properties"]["window_start"] = json!({ "type": "long" });
        theirs["properties"]["shop"]["properties"]["city"] = json!({ "type": "geo_point" });
    };
    assert_eq!(
        changed(properties),
        [
            "shop.city is geo_point there, the job needs keyword",
            "user_id is text there, the job needs keyword",
            "window_start is long there, the job needs date (epoch_millis)",
        ]
    );
}

#[test]
fn wider_numbers_more_formats_more_fields_and_sub_fields_fit() {
    let fits = changed(|theirs| {
        theirs["properties"]["rank"]["type"] = "long".into();
        theirs["properties"]["window_start"] = json!({ "type": "date" });
        theirs["properties"]["more"] = json!({ "type": "text" });
        theirs["properties"]["user_id"]["fields"] = json!({ "words": { "type": "text" } });
        theirs["dynamic"] = json!(false);
    });
    assert_eq!(fits, Vec::<String>::new());
    let narrower = changed(|theirs| theirs["properties"]["rank"]["type"] = "short".into());
    assert_eq!(narrower, ["rank is short there, the job needs integer"]);
    let seconds = changed(|theirs| theirs["properties"]["window_start"]["format"] = "epoch_second".into());
    assert_eq!(
        seconds,
        ["window_start is date (epoch_second) there, the job needs date (epoch_millis)"],
        "milliseconds would be taken for seconds"
    );
}

#[test]
fn an_open_mapping_differs_from_a_closed_one() {
    for (dynamic, shown) in [(json!(true), "true"), (json!("true"), "true"), (json!("runtime"), "runtime")] {
        let found = changed(|theirs| theirs["dynamic"] = dynamic);
        assert_eq!(found, [format!("dynamic is {shown} there, the job needs strict")]);
    }
    let mut theirs = ours();
    theirs.as_object_mut().unwrap().remove("dynamic");
    let found = compare(&ours(), &theirs);
    assert_eq!((found.len(), mend(&found)), (1, None), "other writers may rely on it");
}

#[test]
fn what_the_index_demands_is_a_difference() {
    let demands = changed(|theirs| {
        theirs["_routing"] = json!({ "required": true });
        theirs["_source"] = json!({ "enabled": false });
    });
    assert_eq!(
        demands,
        [
            "_routing is required there, the job needs optional",
            "_source is disabled there, the job needs enabled"
        ]
    );
}

#[test]
fn what_an_index_that_exists_can_still_learn_is_one_request() {
    let mut theirs = ours();
    let fields = theirs["properties"].as_object_mut().unwrap();
    fields.remove("rank");
    fields["user_id"] = json!({ "type": "keyword", "fields": { "words": { "type": "text" } } });
    fields["shop"] = json!({ "properties": {} });
    let found = compare(&ours(), &theirs);
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(
        mend(&found).unwrap(),
        json!({ "properties": {
            "rank": { "type": "integer" },
            "user_id": { "type": "keyword", "ignore_above": 8191, "fields": { "words": { "type": "text" } } },
            "shop": { "properties": { "city": { "type": "keyword" } } },
        }})
    );
    theirs["properties"]["window_start"]["type"] = "long".into();
    assert_eq!(mend(&compare(&ours(), &theirs)), None, "a type stays as it is");
}

#[test]
fn an_index_without_any_field_takes_the_whole_mapping() {
    let found = compare(&ours(), &json!({}));
    assert_eq!(mend(&found).unwrap(), ours());
}

#[test]
fn a_keyword_that_is_not_indexed_takes_any_length() {
    let theirs = json!({ "properties": { "a": { "type": "keyword", "index": false, "doc_values": false } } });
    let ours = json!({ "properties": { "a": { "type": "keyword", "ignore_above": 8191 } } });
    assert_eq!(compare(&ours, &theirs), []);
}
