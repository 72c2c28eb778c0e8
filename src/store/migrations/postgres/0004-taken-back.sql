-- Revocations that are tried again until the provider has taken the grant back, and the day on which a token was last handed out.
-- What a provider did not take back before this is tried again from now on. What was there before counts as used today: nobody knows better.

alter table connections add column revocation text;
alter table connections add column revoke_at bigint;
alter table connections add column used_at bigint;
alter table apps add column revoke_when_unused bigint;

update connections set used_at = cast(extract(epoch from now()) as bigint) / 86400 * 86400000;

update connections set
  upstream = 'pending',
  revoke_at = (cast(extract(epoch from now()) as bigint) * 1000),
  revocation = '{"attempts":0,"since":' || (cast(extract(epoch from now()) as bigint) * 1000) || ',"reason":null,"accepted":false,"provedAt":null}'
where state = 'revoked' and upstream in ('pending', 'failed') and data_key is not null;

create index connections_to_take_back on connections (revoke_at) where revoke_at is not null;
