//! The parts of the state file that do not show from outside.

use serde_json::value::to_raw_value;

use super::{
    live::Live,
    record::{self, Line, Written},
};

fn line() -> Vec<u8> {
    let mut buffer = b"before\n".to_vec();
    let mut line = Line::begin(&mut buffer, 7, 6);
    line.put("a\"b\n", &to_raw_value(&serde_json::json!({"x": null})).unwrap());
    line.remove("c");
    assert_eq!(line.end(), 2);
    buffer.split_off(b"before\n".len())
}

/// The checksum is `zlib.crc32` of Python for the same bytes.
#[test]
fn a_record_is_one_line_of_json_with_a_checksum() {
    assert_eq!(
        String::from_utf8(line()).unwrap(),
        "{\"crc\":\"221fbf29\",\"record\":7,\"durable\":6,\"changes\":[{\"put\":[\"a\\\"b\\n\",{\"x\":null}]},{\"remove\":\"c\"}]}\n"
    );
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let line = line();
    let record = record::decode(line.strip_suffix(b"\n").unwrap()).unwrap();
    assert_eq!((record.number, record.durable), (7, 6));
    match &record.changes[..] {
        [Written::Put(key, value), Written::Remove(gone)] => {
            assert_eq!((&**key, value.get(), &**gone), ("a\"b\n", "{\"x\":null}", "c"));
        }
        _ => panic!("other changes"),
    }
}

#[test]
fn a_record_without_changes_is_no_record() {
    let mut buffer = b"before\n".to_vec();
    assert_eq!(Line::begin(&mut buffer, 7, 6).end(), 0);
    assert_eq!(buffer, b"before\n");
}

/// Right by its checksum, but nothing that this program writes: refused, not taken for empty.
#[test]
fn a_record_of_another_kind_is_refused() {
    for rest in ["\"record\":1}", "\"record\":1,\"durable\":0,\"changes\":[{\"move\":1}]}", "}", ""]
    {
        let line = format!("{{\"crc\":\"{:08x}\",{rest}", crc32fast::hash(rest.as_bytes()));
        assert!(record::decode(line.as_bytes()).is_err(), "{rest}");
    }
}

#[test]
fn a_key_that_is_put_again_is_the_last() {
    let mut live = Live::default();
    let one = || to_raw_value(&1).unwrap();
    for key in ["a", "b", "c", "a"] {
        live.put(key, one());
    }
    assert!(live.remove("b") && !live.remove("b"));
    assert_eq!(live.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["c", "a"]);
    assert_eq!(live.len(), 2);
}
