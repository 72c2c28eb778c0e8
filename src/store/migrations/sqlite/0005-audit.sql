-- Tokens that were handed out, in the history; and the signed checkpoints that prove that the history is whole.

alter table history add column handed_out text;

create table checkpoints (
  number    integer not null primary key,
  at        integer not null,
  seq       integer not null,
  late      text,
  missing   text,
  digests   blob not null,
  previous  text not null,
  hash      text not null,
  signature text not null
) strict;
