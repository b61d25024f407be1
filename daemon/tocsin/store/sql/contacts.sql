-- The statements both databases understand: what is known of addresses, and what came back from them.

-- name: contact_state
-- What was learnt about an address.
select {contact_state} from contacts_state where channel_kind = $1 and address = $2;

-- name: save_contact_state
-- The newest knowledge about an address.
insert into contacts_state ({contact_state.given}) {contact_state.values}
on conflict (channel_kind, address) do update set {contact_state.changes};

-- name: contact_states
-- What was learnt about every address.
select {contact_state} from contacts_state order by channel_kind, address;

-- name: verification
-- Whether a person's address was proven, and the code under way.
select {verification} from contacts_verified where "user" = $1 and channel_kind = $2 and address = $3 for update;

-- name: verifications
-- The same of every person and address.
select {verification} from contacts_verified order by "user", channel_kind, address;

-- name: save_verification
-- How it stands with an address now.
insert into contacts_verified ({verification.given}) {verification.values}
on conflict ("user", channel_kind, address) do update set {verification.changes};

-- name: answers_to
-- What a provider's message was answered when it was delivered first.
select answer from inbound where door = $1 and message_id = $2;

-- name: add_answer
-- The answer to a provider's message; a second one is refused.
insert into inbound (door, message_id, address, answer, at) {5.values};

-- name: replies_since
-- How many messages to an address were automatic replies.
select count(*) from inbound where address = $1 and at >= $2 and answer <> '';

-- name: prune_inbound
-- Forget provider messages that no provider will deliver again.
delete from inbound where (door, message_id) in (
    select door, message_id from inbound where at < $1 limit $2) returning message_id;
