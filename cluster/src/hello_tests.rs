use super::*;
use crate::golden_tests::written;
use crate::member::Fact;

fn hello() -> Hello {
    Hello {
        versions: (1, 2),
        cluster: "c".to_owned(),
        member: Member {
            id: "i".to_owned(),
            incarnation: 7,
            life: 3,
            name: "n".to_owned(),
            address: "a:1".to_owned(),
            roles: vec!["r".to_owned()],
            facts: vec![Fact {
                key: "k".to_owned(),
                value: "v".to_owned(),
                alone: true,
            }],
        },
        key: 9,
        known: Vec::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn the_first_words_keep_their_bytes() {
    let mut bytes = Vec::new();
    hello().write(&mut bytes).await.unwrap();
    assert_eq!(
        hex(&bytes),
        "fde80001000000190102016301690703016e03613a3101017201016b0176010900"
    );
    assert_eq!(Hello::read(&mut &bytes[..]).await.unwrap(), hello());
    for (answer, body) in [
        (
            Answer::Refused(Refusal::Version {
                lowest: 1,
                highest: 2,
                refused: None,
            }),
            "01000102",
        ),
        (
            Answer::Refused(Refusal::Cluster("c".to_owned())),
            "01010163",
        ),
        (
            Answer::Refused(Refusal::NameTaken("n".to_owned())),
            "0102016e",
        ),
        (Answer::Refused(Refusal::Superseded(7)), "010307"),
        (Answer::Refused(Refusal::Running), "0104"),
        (Answer::Refused(Refusal::Fact("f".to_owned())), "01050166"),
        (Answer::Refused(Refusal::Connected), "0106"),
        (Answer::Refused(Refusal::Forming), "0107"),
        (Answer::Refused(Refusal::Challenged), "0108"),
        (Answer::Refused(Refusal::Itself), "0109"),
        (Answer::Refused(Refusal::Full), "010a"),
        (
            Answer::Refused(Refusal::Certificate("i".to_owned())),
            "010b0169",
        ),
    ] {
        let mut bytes = Vec::new();
        answer.write(&mut bytes).await.unwrap();
        let expected = format!("fde90001{:08x}{body}", body.len() / 2);
        assert_eq!(hex(&bytes), expected);
        assert_eq!(written(ANSWER, SHAPE, &answer), expected);
        assert_eq!(Answer::read(&mut &bytes[..]).await.unwrap(), answer);
    }
}

#[tokio::test]
async fn whatever_else_is_said_first_is_refused_without_reading_on() {
    let mut endless = vec![0xfd, 0xe8, 0, 1, 0xff, 0xff, 0xff, 0xff];
    endless.extend([0; 100]);
    for (strange, kind) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "stranger"),
        (&[0; 64], "stranger"),
        (&endless, "oversized"),
    ] {
        let read = Hello::read(&mut &strange[..]).await;
        assert_eq!(read.map_err(|error| error.kind()), Err(kind));
    }
    let mut bytes = Vec::new();
    hello().write(&mut bytes).await.unwrap();
    for end in 0..bytes.len() {
        assert!(Hello::read(&mut &bytes[..end]).await.is_err());
    }
    bytes[3] = 9;
    let read = Hello::read(&mut &bytes[..]).await;
    assert!(matches!(read, Err(HelloError::Codec(_))));
}

#[tokio::test]
async fn a_hello_that_knows_too_many_is_not_sent() {
    let mut hello = hello();
    hello.known = vec![hello.member.clone(); 10_000];
    let sent = hello.write(&mut Vec::new()).await;
    assert!(matches!(sent, Err(HelloError::Codec(CodecError::TooLarge))));
}

#[test]
fn what_another_says_in_its_own_words_is_told_in_short_and_versions_with_both_ranges() {
    let long = "x".repeat(60_000);
    for refusal in [
        Refusal::Cluster(long.clone()),
        Refusal::NameTaken(long.clone()),
        Refusal::Fact(long.clone()),
        Refusal::Certificate(long),
    ] {
        let told = refusal.heard_by((1, 2)).to_string();
        assert!((WORDS..WORDS + 200).contains(&told.len()), "{told}");
    }
    let refusal = Refusal::Version {
        lowest: 3,
        highest: 4,
        refused: None,
    };
    let told = refusal.heard_by((1, 2)).to_string();
    assert!(
        told.contains("who refuses speaks 3 to 4, who is refused 1 to 2"),
        "{told}"
    );
}
