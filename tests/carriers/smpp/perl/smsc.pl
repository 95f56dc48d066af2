#!/usr/bin/perl
# An SMSC made of Net::SMPP, on a port of the system's choice, which it prints once it listens. Arguments, name=value:
# throttle (how many submits are too much at first), refuse (how many binds), drop (at which submit), receipts (0 or 1),
# unbind (how many binds it unbinds at once).
# Its answers name a message in hexadecimal, its receipts in decimal. It prints one JSON line for each thing it is told.
use strict;
use warnings;
use IO::Select;
use JSON::PP;
use Net::SMPP;

$| = 1;
my %options = (throttle => 0, refuse => 0, drop => 0, receipts => 0, unbind => 0, map { split /=/, $_, 2 } @ARGV);
my ($submits, $taken) = (0, 0x1d305b4b);

sub tell_of { print encode_json({@_}), "\n" }

sub bind_with {
    my ($response) = @_;
    return sub {
        my ($session, $pdu) = @_;
        my $refused = $options{refuse}-- > 0;
        tell_of(bind => $pdu->{cmd}, system_id => $pdu->{system_id}, refused => $refused ? 1 : 0);
        $session->$response(system_id => 'PERL', seq => $pdu->{seq}, status => $refused ? 0x0D : 0);
        $session->unbind(async => 1) if !$refused && $options{unbind}-- > 0;
        return;
    };
}

sub take_submit {
    my ($session, $pdu) = @_;
    $submits++;
    tell_of(submit => $pdu->{destination_addr}, text => unpack('H*', $pdu->{short_message}),
        esm_class => $pdu->{esm_class}, validity => $pdu->{validity_period});
    return 'drop' if $options{drop} && $submits == $options{drop};
    if ($options{throttle}-- > 0) {
        $session->submit_sm_resp(message_id => '', seq => $pdu->{seq}, status => 0x58);
        return;
    }
    my $id = ++$taken;
    $session->submit_sm_resp(message_id => sprintf('%08X', $id), seq => $pdu->{seq});
    deliver_receipt($session, $pdu, $id) if $options{receipts} && $pdu->{registered_delivery};
    return;
}

sub deliver_receipt {
    my ($session, $pdu, $id) = @_;
    $session->deliver_sm(
        async => 1,
        source_addr_ton => $pdu->{dest_addr_ton},
        source_addr_npi => $pdu->{dest_addr_npi},
        source_addr => $pdu->{destination_addr},
        dest_addr_ton => $pdu->{source_addr_ton},
        dest_addr_npi => $pdu->{source_addr_npi},
        destination_addr => $pdu->{source_addr},
        esm_class => 4,
        short_message => sprintf('id:%010d sub:001 dlvrd:001 stat:DELIVRD err:000 text:', $id),
    );
}

my %does = (
    0x01 => bind_with('bind_receiver_resp'),
    0x02 => bind_with('bind_transmitter_resp'),
    0x09 => bind_with('bind_transceiver_resp'),
    0x04 => \&take_submit,
    0x15 => sub { $_[0]->enquire_link_resp(seq => $_[1]{seq}); return },
    0x06 => sub { tell_of(unbind => 1); $_[0]->unbind_resp(seq => $_[1]{seq}); return 'drop' },
    0x80000006 => sub { tell_of(unbound => $_[1]{status}); return 'drop' },
    0x80000005 => sub { tell_of(receipt => $_[1]{status}); return },
);

my $listener = Net::SMPP->new_listen('127.0.0.1', port => 0, smpp_version => 0x34) or die "no port: $!";
my $select = IO::Select->new($listener);
tell_of(port => $listener->sockport);
while (my @ready = $select->can_read) {
    for my $each (@ready) {
        if ($each == $listener) {
            $select->add($listener->accept);
            next;
        }
        my $pdu = $each->read_pdu;
        my $action = $pdu ? $does{$pdu->{cmd}} : sub { 'drop' };
        my $done = $action ? $action->($each, $pdu) : undef;
        if (defined $done && $done eq 'drop') {
            $select->remove($each);
            $each->close;
        }
    }
}
