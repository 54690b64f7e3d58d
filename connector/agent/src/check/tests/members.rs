use super::*;

fn members(settings: &[(&str, &str)]) -> CheckStep {
    let (port, _) = says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let backend = backend_at(&format!("http://127.0.0.1:{port}/"), settings);
    let steps = checked(&backend, &Keys::default(), false, None);
    steps.into_iter().find(|step| step.step == "members").unwrap()
}

#[test]
fn each_further_member_is_looked_at_and_the_worst_is_told() {
    let (well, asked) = says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let (ill, _) = says("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n");
    let well_only = format!("http://127.0.0.1:{well}");
    let step = members(&[("backend_farm", well_only.as_str())]);
    assert_eq!((step.result, asked.load(Ordering::SeqCst)), (StepResult::Ok, 1), "{step:?}");
    assert!(step.seen.contains(&format!("127.0.0.1:{well}/: http ")), "{step:?}");
    let both = format!("{well_only},http://127.0.0.1:{ill}");
    let step = members(&[("backend_farm", both.as_str())]);
    assert_eq!(step.result, StepResult::Fail, "{step:?}");
    assert!(step.seen.contains(&ill.to_string()) && step.seen.contains(&well.to_string()), "{step:?}");
    assert!(step.cure.contains("its own log"), "{step:?}");
}
