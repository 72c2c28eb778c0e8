-- What a caller is held to, when it was last there, and whose tokens are taken beside our own.
alter table callers add column pins text not null default '{}';
alter table callers add column dpop smallint not null default 0 check (dpop in (0, 1));
alter table callers add column rate_limit bigint;
alter table callers add column last_used_at bigint;

create table trusted_issuers (
  tenant   text collate "C" not null default '*',
  issuer   text collate "C" not null,
  document text not null,
  primary key (tenant, issuer)
);
