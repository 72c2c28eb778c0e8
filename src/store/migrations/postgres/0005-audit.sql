-- Tokens that were handed out, in the history; and the signed checkpoints that prove that the history is whole.

alter table history add column handed_out text;

create table checkpoints (
  number    bigint not null primary key,
  at        bigint not null,
  seq       bigint not null,
  late      text,
  missing   text,
  digests   bytea not null,
  previous  text not null,
  hash      text not null,
  signature text not null
);
