//! `#[wramp_guest::main]`: makes an `async fn` the task of a guest.
//!
//! The attribute keeps the function unchanged and adds one line that exports `wramp_poll`. It
//! reads only a few tokens, so it needs no parser for Rust and no dependency.

use proc_macro::{Delimiter, Span, TokenStream, TokenTree};

/// Makes an `async fn` without parameters the guest's task. The host polls it until it ends.
///
/// ```ignore
/// #[wramp_guest::main]
/// async fn main() {
///     wramp_guest::log!("instance {}", wramp_guest::id());
/// }
/// ```
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, function: TokenStream) -> TokenStream {
    if let Some(argument) = arguments.into_iter().next() {
        return refusal(argument.span(), "#[wramp_guest::main] takes no arguments", function);
    }
    match name_of_task(function.clone()) {
        Ok(name) => {
            let export: TokenStream =
                format!("::wramp_guest::export_task!({name});").parse().unwrap_or_default();
            function.into_iter().chain(export).collect()
        }
        Err((span, reason)) => refusal(span, reason, function),
    }
}

/// The name of an `async fn` that can be a task. Otherwise, what is wrong, and where.
fn name_of_task(function: TokenStream) -> Result<String, (Span, &'static str)> {
    const SHAPE: &str = "a guest's task is an `async fn main()`: no parameters, no generics, no \
                         result";
    let mut tokens = function.into_iter().peekable();
    let mut is_async = false;
    let fn_span = loop {
        match tokens.next() {
            Some(TokenTree::Ident(word)) if word.to_string() == "async" => is_async = true,
            Some(TokenTree::Ident(word)) if word.to_string() == "fn" => break word.span(),
            Some(_) => {}
            None => return Err((Span::call_site(), SHAPE)),
        }
    };
    if !is_async {
        return Err((fn_span, "write `async fn`: a guest waits by returning to its host"));
    }
    let name = match tokens.next() {
        Some(TokenTree::Ident(name)) => name,
        other => return Err((other.map_or(fn_span, |token| token.span()), SHAPE)),
    };
    match tokens.next() {
        Some(TokenTree::Group(group))
            if group.delimiter() == Delimiter::Parenthesis && group.stream().is_empty() => {}
        other => return Err((other.map_or(name.span(), |token| token.span()), SHAPE)),
    }
    match tokens.next() {
        Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace => {
            Ok(name.to_string())
        }
        other => Err((other.map_or(name.span(), |token| token.span()), SHAPE)),
    }
}

/// A compile error at `span`, followed by the unchanged function.
fn refusal(span: Span, reason: &str, function: TokenStream) -> TokenStream {
    let error: TokenStream =
        format!("::core::compile_error!({reason:?});").parse().unwrap_or_default();
    let error = error.into_iter().map(|mut token| {
        token.set_span(span);
        token
    });
    error.chain(function).collect()
}
