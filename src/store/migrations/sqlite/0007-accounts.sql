-- Whose account it must be at the provider, where what is granted may be sent, and the way there for a second press of the button.
alter table attempts add column account_of text;
alter table attempts add column hosts text not null default '[]';
alter table attempts add column departure blob;

alter table apps add column allow_account_change integer not null default 0 check (allow_account_change in (0, 1));
alter table apps add column one_per_account integer not null default 0 check (one_per_account in (0, 1));
alter table apps add column required_scopes text not null default '[]';
