//! Holds justifications of the Python voters (`tests/vectors/grandpa/`, format in `tests/vectors/README.md`) against the
//! stock crates: `sp-consensus-grandpa` decodes them and checks signatures, `finality-grandpa` the commits.

use std::collections::{BTreeMap, BTreeSet};

use codec::{Decode, DecodeAll, Encode};
use finality_grandpa::{validate_commit, voter_set::VoterSet, Chain, Error, Message};
use sp_consensus_grandpa::{
    check_message_signature, AuthorityId, AuthorityList, AuthoritySignature, CatchUp, CompactCommit,
    GrandpaJustification,
};
use sp_core::H256;
use sp_runtime::{
    generic,
    traits::{BlakeTwo256, Header as _},
};

type Header = generic::Header<u32, BlakeTwo256>;
type Justification = GrandpaJustification<Header>;

/// One line of `justifications.txt`.
struct Case {
    name: String,
    verdict: String,
    set_id: u64,
    voters: AuthorityList,
    target: (H256, u32),
    data: Vec<u8>,
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).expect("hex digits")).collect()
}

fn lines(file: &str) -> Vec<Vec<String>> {
    let path = format!("{}/../../../../tests/vectors/grandpa/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("tests/vectors/grandpa is part of the repository");
    text.lines().map(|line| line.split(' ').map(String::from).collect()).collect()
}

fn voters(text: &str) -> AuthorityList {
    AuthorityList::decode_all(&mut &unhex(text)[..]).expect("voters")
}

fn cases() -> Vec<Case> {
    lines("justifications.txt")
        .into_iter()
        .map(|fields| Case {
            name: fields[0].clone(),
            verdict: fields[1].clone(),
            set_id: fields[2].parse().expect("set id"),
            voters: voters(&fields[3]),
            target: (H256::from_slice(&unhex(&fields[4])), fields[5].parse().expect("number")),
            data: unhex(&fields[6]),
        })
        .collect()
}

/// The headers that came with a justification, as the chain in which its votes stand.
struct Ancestry(BTreeMap<H256, Header>);

impl Chain<H256, u32> for Ancestry {
    fn ancestry(&self, base: H256, block: H256) -> Result<Vec<H256>, Error> {
        let mut route = Vec::new();
        let mut at = block;
        while at != base {
            at = *self.0.get(&at).ok_or(Error::NotDescendent)?.parent_hash();
            route.push(at);
        }
        route.pop();
        Ok(route)
    }
}

/// What a stock node asks of a justification before it makes the block final.
fn verify(data: &[u8], target: (H256, u32), set_id: u64, voters: &AuthorityList) -> Result<(), &'static str> {
    let proof = Justification::decode_all(&mut &data[..]).map_err(|_| "it does not decode")?;
    let commit = &proof.commit;
    if (commit.target_hash, commit.target_number) != target {
        return Err("another target");
    }
    let headers: BTreeMap<_, _> = proof.votes_ancestries.iter().map(|header| (header.hash(), header.clone())).collect();
    let chain = Ancestry(headers);
    let set = VoterSet::<AuthorityId>::new(voters.iter().cloned()).ok_or("no set")?;
    if !validate_commit(commit, &set, &chain).is_ok_and(|result| result.is_valid()) {
        return Err("the commit is not valid");
    }
    let lowest = commit.precommits.iter().min_by_key(|one| one.precommit.target_number).ok_or("no votes")?;
    let base = lowest.precommit.target_hash;
    let mut used = BTreeSet::new();
    for one in &commit.precommits {
        let message = Message::Precommit(one.precommit.clone());
        if !check_message_signature(&message, &one.id, &one.signature, proof.round, set_id).is_valid() {
            return Err("a signature fails");
        }
        if one.precommit.target_hash != base {
            used.insert(one.precommit.target_hash);
            used.extend(chain.ancestry(base, one.precommit.target_hash).map_err(|_| "no ancestry")?);
        }
    }
    if used.into_iter().ne(chain.0.keys().copied()) {
        return Err("a header serves no vote");
    }
    Ok(())
}

#[test]
fn stock_crates_give_the_same_verdict_on_every_justification() {
    let (mut valid, mut invalid) = (0, 0);
    for case in cases() {
        let stock = verify(&case.data, case.target, case.set_id, &case.voters);
        match case.verdict.as_str() {
            "valid" => assert_eq!(stock, Ok(()), "{}", case.name),
            "invalid" => assert!(stock.is_err(), "{} is valid for stock crates", case.name),
            other => assert_eq!(other, "stricter", "{}", case.name),
        }
        valid += usize::from(stock.is_ok());
        invalid += usize::from(stock.is_err());
    }
    assert!(valid > 50 && invalid > 50, "{valid} valid and {invalid} invalid ones show little");
}

#[test]
fn justifications_that_voters_made_encode_to_the_same_bytes() {
    let voted: Vec<_> = cases().into_iter().filter(|case| case.name.starts_with("voted-")).collect();
    assert!(voted.len() >= 10 && voted.iter().any(|case| case.set_id == 2), "over two changes of the set");
    for case in voted {
        let proof = Justification::decode(&mut &case.data[..]).expect("decodes");
        assert_eq!(proof.encode(), case.data, "{}", case.name);
    }
}

#[test]
fn stock_crates_ignore_strangers_and_repeated_votes_which_we_refuse() {
    for case in cases().into_iter().filter(|case| ["stranger", "same-vote-twice"].contains(&case.name.as_str())) {
        assert_eq!(case.verdict, "stricter");
        assert_eq!(verify(&case.data, case.target, case.set_id, &case.voters), Ok(()), "{}", case.name);
    }
}

/// One line of `finality_proofs.txt`: the asked block, the set in force for it, and the answer of
/// `grandpa_proveFinality`.
#[test]
fn finality_proofs_hold_for_a_stock_client_over_set_changes() {
    let proofs = lines("finality_proofs.txt");
    assert!(proofs.iter().any(|fields| fields[1] == "2"), "over two changes of the set");
    for fields in proofs {
        let number: u32 = fields[0].parse().expect("number");
        let set_id: u64 = fields[1].parse().expect("set id");
        let asked = H256::from_slice(&unhex(&fields[3]));
        let (block, justification, headers) =
            <(H256, Vec<u8>, Vec<Header>)>::decode_all(&mut &unhex(&fields[4])[..]).expect("a FinalityProof");
        let mut last = asked;
        for (header, expected) in headers.iter().zip(number + 1..) {
            assert_eq!((*header.parent_hash(), *header.number()), (last, expected));
            last = header.hash();
        }
        assert_eq!(last, block);
        let target = (block, number + headers.len() as u32);
        assert_eq!(verify(&justification, target, set_id, &voters(&fields[2])), Ok(()), "block {number}");
        assert!(verify(&justification, target, set_id + 1, &voters(&fields[2])).is_err(), "block {number}");
    }
}

/// Decodes exactly these bytes, and holds the encoding of what came out against them.
fn exactly<T: Decode + Encode>(data: &[u8]) -> T {
    let value = T::decode_all(&mut &data[..]).expect("decodes");
    assert_eq!(value.encode(), data);
    value
}

#[test]
fn gossip_messages_are_those_of_the_stock_types_and_catch_ups_complete_a_round() {
    type Signed = finality_grandpa::SignedMessage<H256, u32, AuthoritySignature, AuthorityId>;
    let mut kinds = BTreeSet::new();
    for fields in lines("messages.txt") {
        let data = unhex(&fields[3]);
        let body = &data[1..];
        match (fields[0].as_str(), data[0]) {
            ("VoteMessage", 0) => {
                let (round, set, signed) = exactly::<(u64, u64, Signed)>(body);
                assert!(check_message_signature(&signed.message, &signed.id, &signed.signature, round, set).is_valid());
            }
            ("CommitMessage", 1) => drop(exactly::<(u64, u64, CompactCommit<Header>)>(body)),
            ("Neighbor", 2) => assert_eq!(exactly::<(u8, u64, u64, u32)>(body).0, 1),
            ("CatchUpRequest", 3) => drop(exactly::<(u64, u64)>(body)),
            ("CatchUp", 4) => {
                let (set, message) = exactly::<(u64, CatchUp<Header>)>(body);
                verify_catch_up(&message, set, &voters(&fields[2]));
            }
            (kind, variant) => panic!("variant {variant} is no {kind}"),
        }
        kinds.insert(data[0]);
    }
    assert_eq!(kinds.len(), 5);
}

/// More than two thirds of the prevotes and of the precommits, all with good signatures.
fn verify_catch_up(message: &CatchUp<Header>, set_id: u64, voters: &AuthorityList) {
    let set = VoterSet::<AuthorityId>::new(voters.iter().cloned()).expect("a set");
    let votes: [Vec<_>; 2] = [
        message.prevotes.iter().map(|one| (Message::Prevote(one.prevote.clone()), &one.id, &one.signature)).collect(),
        message
            .precommits
            .iter()
            .map(|one| (Message::Precommit(one.precommit.clone()), &one.id, &one.signature))
            .collect(),
    ];
    for kind in votes {
        let mut weight = 0;
        for (vote, id, signature) in kind {
            assert!(check_message_signature(&vote, id, signature, message.round_number, set_id).is_valid());
            weight += set.get(id).expect("a voter of the set").weight().get();
        }
        assert!(weight >= set.threshold().get());
    }
}
