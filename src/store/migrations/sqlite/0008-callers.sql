-- What a caller is held to, when it was last there, and whose tokens are taken beside our own.
alter table callers add column pins text not null default '{}';
alter table callers add column dpop integer not null default 0 check (dpop in (0, 1));
alter table callers add column rate_limit integer;
alter table callers add column last_used_at integer;

create table trusted_issuers (
  tenant   text not null default '*',
  issuer   text not null,
  document text not null,
  primary key (tenant, issuer)
) strict, without rowid;
