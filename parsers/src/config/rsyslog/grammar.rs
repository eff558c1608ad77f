//! rsyslog's grammar (`grammar/grammar.y`, 8.2302). The first fault ends a file, as the daemon lets it.

use super::cursor::{Cursor, DEPTH_MAX, Token};
use super::source::Source;
use super::{Kind, STATEMENTS_MAX, Statement};
use crate::config::problems::Problems;
use crate::place::{Place, Problem};

pub(super) struct Grammar<'a> {
    cursor: Cursor<'a>,
    /// A token that was looked at and not taken.
    held: Option<(Token, Place)>,
    count: usize,
}

/// Reads a file's statements.
pub(super) fn read(source: &Source, problems: &mut Problems) -> Vec<Statement> {
    let mut grammar = Grammar { cursor: Cursor::new(source), held: None, count: 0 };
    let mut all = Vec::new();
    let ended = grammar.top(&mut all);
    for problem in grammar.cursor.skipped.drain(..).chain(ended.err()) {
        problems.push(problem.place, problem.message);
    }
    all
}

impl Grammar<'_> {
    fn next(&mut self) -> (Token, Place) {
        self.held.take().unwrap_or_else(|| self.cursor.token())
    }

    fn peek(&mut self) -> &Token {
        &self.held.get_or_insert_with(|| self.cursor.token()).0
    }

    fn top(&mut self, all: &mut Vec<Statement>) -> Result<(), Problem> {
        loop {
            self.directives(all)?;
            let (token, place) = self.next();
            let statement = match token {
                Token::End => return Ok(()),
                Token::Object(name) if !matches!(name, "action" | "include") => {
                    self.object(name, place)?
                }
                Token::BsdTag(text) => Statement::new(Kind::BsdTag, text, place),
                Token::BsdHost(text) => Statement::new(Kind::BsdHost, text, place),
                token => {
                    self.held = Some((token, place));
                    self.statement(0, all)?;
                    continue;
                }
            };
            self.push(all, statement)?;
        }
    }

    fn push(&mut self, all: &mut Vec<Statement>, statement: Statement) -> Result<(), Problem> {
        self.count += 1;
        if self.count > STATEMENTS_MAX {
            let message = format!("more than {STATEMENTS_MAX} statements");
            return Err(Problem { place: statement.place, message });
        }
        all.push(statement);
        Ok(())
    }

    fn object(&mut self, name: &str, place: Place) -> Result<Statement, Problem> {
        let mut statement = Statement::new(Kind::Object, name.to_string(), place);
        statement.parameters = self.cursor.parameters()?;
        let may_have_block = matches!(name, "template" | "ruleset");
        if !may_have_block || *self.peek() != Token::Sign('{') {
            // A ruleset always has one.
            return match name {
                "ruleset" => Err(self.cursor.fault("`{` is expected after ruleset(…)")),
                _ => Ok(statement),
            };
        }
        self.next();
        let mut block = Vec::new();
        if name == "template" {
            self.template_parts(&mut block)?;
        } else if *self.peek() != Token::Sign('}') {
            self.script(1, &mut block)?;
        }
        self.sign('}')?;
        statement.block = Some(block);
        Ok(statement)
    }

    /// `property(…)` and `constant(…)`, which the lexer knows everywhere.
    fn template_parts(&mut self, block: &mut Vec<Statement>) -> Result<(), Problem> {
        loop {
            match self.peek() {
                Token::Action(word) => {
                    let name = word.to_ascii_lowercase();
                    let (_, place) = self.next();
                    if name != "property" && name != "constant" {
                        return Err(Problem {
                            place,
                            message: "property(…) or constant(…) is expected".into(),
                        });
                    }
                    self.cursor.expect("(")?;
                    let mut part = Statement::new(Kind::Object, name, place);
                    part.parameters = self.cursor.parameters()?;
                    self.push(block, part)?;
                }
                _ => return Ok(()),
            }
        }
    }

    fn sign(&mut self, sign: char) -> Result<(), Problem> {
        match self.next() {
            (Token::Sign(found), _) if found == sign => Ok(()),
            (_, place) => Err(Problem { place, message: format!("`{sign}` is expected here") }),
        }
    }

    /// One or more statements.
    fn script(&mut self, depth: usize, all: &mut Vec<Statement>) -> Result<(), Problem> {
        self.statement(depth, all)?;
        loop {
            self.directives(all)?;
            if matches!(self.peek(), Token::Sign('}') | Token::End) {
                return Ok(());
            }
            self.statement(depth, all)?;
        }
    }

    /// Directives are the lexer's: they stand wherever a token may.
    fn directives(&mut self, all: &mut Vec<Statement>) -> Result<(), Problem> {
        while let Token::Directive(_) = self.peek() {
            let (Token::Directive(text), place) = self.next() else { break };
            self.push(all, Statement::new(Kind::Directive, text, place))?;
        }
        Ok(())
    }

    fn block(&mut self, depth: usize) -> Result<Vec<Statement>, Problem> {
        if depth > DEPTH_MAX {
            return Err(self.cursor.fault("blocks are nested too deeply"));
        }
        let mut all = Vec::new();
        if *self.peek() == Token::Sign('{') {
            self.next();
            self.script(depth + 1, &mut all)?;
            self.sign('}')?;
        } else {
            self.statement(depth + 1, &mut all)?;
        }
        Ok(all)
    }

    fn statement(&mut self, depth: usize, all: &mut Vec<Statement>) -> Result<(), Problem> {
        self.directives(all)?;
        if depth == 0 && *self.peek() == Token::End {
            return Ok(());
        }
        let (token, place) = self.next();
        let statement = match token {
            Token::Keyword("if") => self.condition(depth, place)?,
            Token::Keyword("foreach") => {
                self.cursor.expect("(")?;
                let variable = self.cursor.variable()?;
                self.cursor.expect("in")?;
                let list = self.cursor.expression(")")?;
                self.cursor.expect("do")?;
                let mut loops =
                    Statement::new(Kind::Foreach, format!("${variable} in {list}"), place);
                loops.block = Some(self.block(depth + 1)?);
                loops
            }
            Token::Keyword(name @ ("set" | "reset")) => {
                let variable = self.cursor.variable()?;
                self.cursor.expect("=")?;
                let value = self.cursor.expression(";")?;
                let kind = if name == "set" { Kind::Set } else { Kind::Reset };
                Statement::new(kind, format!("${variable} = {value}"), place)
            }
            Token::Keyword("unset") => {
                let variable = self.cursor.variable()?;
                self.cursor.expect(";")?;
                Statement::new(Kind::Unset, format!("${variable}"), place)
            }
            Token::Keyword("reload_lookup_table") => {
                self.cursor.expect("(")?;
                let list = self.cursor.expression(")")?;
                Statement::new(Kind::ReloadLookupTable, list, place)
            }
            Token::PriorityFilter(text) => {
                let mut filter = Statement::new(Kind::PriorityFilter, text, place);
                filter.block = Some(self.block(depth + 1)?);
                filter
            }
            Token::PropertyFilter(text) => {
                let mut filter = Statement::new(Kind::PropertyFilter, text, place);
                filter.block = Some(self.block(depth + 1)?);
                filter
            }
            Token::Object("include") => {
                let mut include = Statement::new(Kind::Object, "include".into(), place);
                include.parameters = self.cursor.parameters()?;
                include
            }
            token => return self.actions(token, place, all),
        };
        self.push(all, statement)
    }

    /// An action and those that `&` adds to it.
    fn actions(
        &mut self,
        mut token: Token,
        mut place: Place,
        all: &mut Vec<Statement>,
    ) -> Result<(), Problem> {
        loop {
            let statement = self.action(token, place)?;
            self.push(all, statement)?;
            if *self.peek() != Token::Sign('&') {
                return Ok(());
            }
            self.next();
            (token, place) = self.next();
        }
    }

    fn action(&mut self, token: Token, place: Place) -> Result<Statement, Problem> {
        Ok(match token {
            Token::Object("action") => {
                let mut action = Statement::new(Kind::Object, "action".into(), place);
                action.parameters = self.cursor.parameters()?;
                action
            }
            Token::Action(text) => Statement::new(Kind::Action, text.trim().to_string(), place),
            Token::Keyword("stop") => Statement::new(Kind::Stop, String::new(), place),
            Token::Keyword("continue") => Statement::new(Kind::Continue, String::new(), place),
            Token::Keyword("call") => {
                let name = self.cursor.name();
                let name = name.ok_or_else(|| self.cursor.fault("a ruleset's name is expected"))?;
                Statement::new(Kind::Call, name, place)
            }
            Token::Keyword("call_indirect") => {
                let name = self.cursor.expression(";")?;
                Statement::new(Kind::CallIndirect, name, place)
            }
            _ => return Err(Problem { place, message: "a statement is expected here".into() }),
        })
    }

    /// `if … then … else if … then … else …`: a chain is read in a loop, not in depth.
    fn condition(&mut self, depth: usize, place: Place) -> Result<Statement, Problem> {
        let text = self.cursor.expression("then")?;
        let mut statement = Statement::new(Kind::If, text, place);
        statement.block = Some(self.block(depth + 1)?);
        if *self.peek() == Token::Keyword("else") {
            self.next();
            statement.otherwise = Some(self.block(depth + 1)?);
        }
        Ok(statement)
    }
}
